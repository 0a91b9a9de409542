#include <stdlib.h>
#include "TH.h"

#ifdef USE_BLAS
extern double ddot_(const int *n, const double *x, const int *incx, const double *y, const int *incy);
extern void dgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const double *alpha,
                   const double *a, const int *lda, const double *b, const int *ldb, const double *beta,
                   double *c, const int *ldc);
extern void dgesv_(const int *n, const int *nrhs, double *a, const int *lda, int *pivots, double *b,
                   const int *ldb, int *info);
#endif

void THFloatTensor_resize4d(THFloatTensor *tensor, long n0, long n1, long n2, long n3)
{
    tensor->size[0] = n0; tensor->size[1] = n1; tensor->size[2] = n2; tensor->size[3] = n3;
    tensor->nDimension = 4;
    tensor->data = realloc(tensor->data, (size_t)(n0 * n1 * n2 * n3) * sizeof(float) + 1);
}

float *THFloatTensor_data(THFloatTensor *tensor) { return tensor->data; }

void THFloatTensor_clear(THFloatTensor *tensor)
{
    free(tensor->data);
    tensor->data = NULL;
    tensor->nDimension = 0;
}

int TH_linearAlgebra(void)
{
#ifdef USE_LAPACK
    return 1;
#else
    return 0;
#endif
}

double TH_dot(const double *a, const double *b, int n)
{
#ifdef USE_BLAS
    const int one = 1;
    return ddot_(&n, a, &one, b, &one);
#else
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
#endif
}

void TH_multiply(const double *a, const double *b, double *c, int m, int n, int k)
{
#ifdef USE_BLAS
    const double one = 1, zero = 0; /* BLAS counts by columns: c' = b' a' */
    dgemm_("N", "N", &n, &m, &k, &one, b, &n, a, &k, &zero, c, &n);
#else
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * n + j];
            c[i * n + j] = sum;
        }
#endif
}

int TH_solve(double *a, double *b, int n, int nrhs)
{
#ifdef USE_LAPACK
    int info = 0, *pivots = malloc((size_t)n * sizeof(int) + 1);
    dgesv_(&n, &nrhs, a, &n, pivots, b, &n, &info);
    free(pivots);
    return info;
#else
    (void)a; (void)b; (void)n; (void)nrhs;
    return -1;
#endif
}
