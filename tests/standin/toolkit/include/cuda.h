/* Stand-in for the driver's header, of neuraltalk-provision's tests: it tells the release. */
#ifndef STANDIN_CUDA_H
#define STANDIN_CUDA_H
#define CUDA_VERSION @NUMBER@
#endif
