#include "THCBlas.h"

__global__ void fill(float *values, int n, float value)
{
    for (int i = 0; i < n; i++)
        values[i] = value;
}

void THCudaBlas_multiply(THCState *state, const float *a, const float *b, float *c, int m, int n, int k)
{
    const float one = 1, zero = 0; // BLAS counts by columns: c' = b' a'
    fill(c, m * n, 0);
    THCudaCheckLibrary(
        cublasSgemm(state->blas, CUBLAS_OP_N, CUBLAS_OP_N, n, m, k, &one, b, n, a, k, &zero, c, n), "cublas");
}
