/* Includes the generic file once for each type of real numbers. */
#define THGenerateManyTypes
#include "THGenerateFloatType.h"
#include "THGenerateDoubleType.h"
#undef THGenerateManyTypes
#undef TH_GENERIC_FILE
