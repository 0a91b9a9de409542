#ifndef STANDIN_TH_H
#define STANDIN_TH_H
/* Stand-in for Torch's C library: float tensors for C++ rocks, linear algebra for Lua. */
#ifdef __cplusplus
extern "C" {
#endif

typedef struct THFloatTensor {
    float *data;
    long size[4];
    int nDimension;
} THFloatTensor;

void THFloatTensor_resize4d(THFloatTensor *tensor, long n0, long n1, long n2, long n3);
float *THFloatTensor_data(THFloatTensor *tensor);
void THFloatTensor_clear(THFloatTensor *tensor);

/* 1 with BLAS and LAPACK, 0 without. */
int TH_linearAlgebra(void);
double TH_dot(const double *a, const double *b, int n);
/* c (m x n) = a (m x k) b (k x n), row by row. */
void TH_multiply(const double *a, const double *b, double *c, int m, int n, int k);
/* Solves a x = b for n unknowns and nrhs right-hand sides; b becomes x. -1: no LAPACK; > 0: singular. */
int TH_solve(double *a, double *b, int n, int nrhs);

#ifdef __cplusplus
}
#endif
#endif
