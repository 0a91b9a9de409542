/* Stand-in, of neuraltalk-provision's tests: CUDA's words, which mean nothing here. */
#ifndef STANDIN_CUDA_RUNTIME_H
#define STANDIN_CUDA_RUNTIME_H
#include "host_config.h"
#include "cuda_runtime_api.h"
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __launch_bounds__(...)
#endif
