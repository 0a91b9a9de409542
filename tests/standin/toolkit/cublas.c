/* Stand-in for cuBLAS, of neuraltalk-provision's tests. */
#include <stdlib.h>
#include "cublas_v2.h"

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    *handle = malloc(1);
    return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                              const float *alpha, const float *a, int lda, const float *b, int ldb, const float *beta,
                              float *c, int ldc)
{
    int i, j, l;
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    for (j = 0; j < n; j++)
        for (i = 0; i < m; i++) {
            double sum = 0;
            for (l = 0; l < k; l++)
                sum += (ta == CUBLAS_OP_N ? a[i + l * lda] : a[l + i * lda]) *
                       (double)(tb == CUBLAS_OP_N ? b[l + j * ldb] : b[j + l * ldb]);
            c[i + j * ldc] = (float)(*alpha * sum + (*beta != 0 ? *beta * c[i + j * ldc] : 0));
        }
    return CUBLAS_STATUS_SUCCESS;
}
