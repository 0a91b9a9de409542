#ifndef STANDIN_THC_H
#define STANDIN_THC_H
#include "THCGeneral.h"
#include "THCBlas.h"
#include "THCTensorRandom.h"
#endif
