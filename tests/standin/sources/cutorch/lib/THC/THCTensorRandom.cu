#include "THCTensorRandom.h"

void THCRandom_init(THCState *state)
{
    THCudaCheckLibrary(curandCreateGenerator(&state->random, CURAND_RNG_PSEUDO_DEFAULT), "curand");
}

void THCRandom_manualSeed(THCState *state, unsigned long long seed)
{
    THCudaCheckLibrary(curandSetPseudoRandomGeneratorSeed(state->random, seed), "curand");
}
