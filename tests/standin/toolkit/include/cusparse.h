/* Stand-in for cuSPARSE, of neuraltalk-provision's tests: there is nothing but its handle. */
#ifndef STANDIN_CUSPARSE_H
#define STANDIN_CUSPARSE_H
#include "cuda_runtime_api.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef enum { CUSPARSE_STATUS_SUCCESS = 0, CUSPARSE_STATUS_NOT_INITIALIZED = 1 } cusparseStatus_t;
typedef struct cusparseContext *cusparseHandle_t;
cusparseStatus_t cusparseCreate(cusparseHandle_t *handle);
cusparseStatus_t cusparseDestroy(cusparseHandle_t handle);
#ifdef __cplusplus
}
#endif
#endif
