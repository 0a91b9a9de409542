#ifndef STANDIN_THC_TENSOR_RANDOM_H
#define STANDIN_THC_TENSOR_RANDOM_H
#include "THCGeneral.h"
#ifdef __cplusplus
extern "C" {
#endif
void THCRandom_init(THCState *state);
void THCRandom_manualSeed(THCState *state, unsigned long long seed);
#ifdef __cplusplus
}
#endif
#endif
