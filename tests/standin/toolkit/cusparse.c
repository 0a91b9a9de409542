/* Stand-in for cuSPARSE, of neuraltalk-provision's tests. */
#include <stdlib.h>
#include "cusparse.h"

cusparseStatus_t cusparseCreate(cusparseHandle_t *handle)
{
    *handle = malloc(1);
    return *handle ? CUSPARSE_STATUS_SUCCESS : CUSPARSE_STATUS_NOT_INITIALIZED;
}

cusparseStatus_t cusparseDestroy(cusparseHandle_t handle)
{
    free(handle);
    return CUSPARSE_STATUS_SUCCESS;
}
