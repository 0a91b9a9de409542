/* Stand-in for cuRAND, of neuraltalk-provision's tests. */
#include <stdlib.h>
#include "curand.h"

struct curandGenerator_st {
    unsigned long long seed;
};

curandStatus_t curandCreateGenerator(curandGenerator_t *generator, curandRngType_t type)
{
    (void)type;
    *generator = calloc(1, sizeof **generator);
    return *generator ? CURAND_STATUS_SUCCESS : CURAND_STATUS_NOT_INITIALIZED;
}

curandStatus_t curandDestroyGenerator(curandGenerator_t generator)
{
    free(generator);
    return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator, unsigned long long seed)
{
    generator->seed = seed;
    return CURAND_STATUS_SUCCESS;
}
