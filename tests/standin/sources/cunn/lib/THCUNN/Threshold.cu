#include "THCUNN.h"

void THCUNN_Threshold(float *values, long n)
{
    THCudaCheck(cudaDeviceSynchronize());
    for (long i = 0; i < n; i++)
        if (values[i] < 0)
            values[i] = 0;
}
