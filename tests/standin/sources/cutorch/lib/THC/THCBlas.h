#ifndef STANDIN_THC_BLAS_H
#define STANDIN_THC_BLAS_H
#include "THCGeneral.h"
#ifdef __cplusplus
extern "C" {
#endif
/* c (m x n) = a (m x k) b (k x n), row by row, of memory of the current device. */
void THCudaBlas_multiply(THCState *state, const float *a, const float *b, float *c, int m, int n, int k);
#ifdef __cplusplus
}
#endif
#endif
