#ifndef STANDIN_THCUNN_H
#define STANDIN_THCUNN_H
#include "THC.h"
#ifdef __cplusplus
extern "C" {
#endif
void THCUNN_Threshold(float *values, long n);
void THCUNN_SparseLinear(void);
#ifdef __cplusplus
}
#endif
#endif
