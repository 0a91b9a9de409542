// Stand-in: why upstream's library needs cuSPARSE.
#include "THCUNN.h"

void THCUNN_SparseLinear(void)
{
    cusparseHandle_t handle;
    THCudaCheckLibrary(cusparseCreate(&handle), "cusparse");
    cusparseDestroy(handle);
}
