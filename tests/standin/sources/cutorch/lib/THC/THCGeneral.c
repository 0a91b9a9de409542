#include <stdio.h>
#include <stdlib.h>
#include "THCGeneral.h"
#include "THCTensorRandom.h"

static THCErrorHandler handler;

void THCSetErrorHandler(THCErrorHandler given) { handler = given; }

static void fail(const char *message)
{
    if (handler)
        handler(message);
    fprintf(stderr, "%s\n", message);
    exit(1);
}

void __THCudaCheck(cudaError_t error, const char *file, int line)
{
    char message[2048];
    if (error == cudaSuccess)
        return;
    printf("THCudaCheck FAIL file=%s line=%i error=%i : %s\n", file, line, (int)error, cudaGetErrorString(error));
    fflush(stdout);
    snprintf(message, sizeof message, "cuda runtime error (%d) : %s at %s:%d", (int)error, cudaGetErrorString(error),
             file, line);
    fail(message);
}

void __THCudaCheckLibrary(int status, const char *library, const char *file, int line)
{
    char message[2048];
    if (status == 0)
        return;
    snprintf(message, sizeof message, "%s runtime error : library not initialized at %s:%d", library, file, line);
    fail(message);
}

void THCudaInit(THCState *state)
{
    int device;
    THCudaCheck(cudaGetDeviceCount(&state->numDevices));
    THCudaCheck(cudaGetDevice(&device));
    THCudaCheckLibrary(cublasCreate(&state->blas), "cublas");
    THCudaCheckLibrary(cusparseCreate(&state->sparse), "cusparse");
    THCRandom_init(state);
}
