/* Stand-in for THNN: the rectifier, once for each type of real numbers as upstream has it. Linked with libTH. */
#include "TH.h"
#include "THGenerateReal.h"

#include "generic/Threshold.c"
#include "THGenerateFloatTypes.h"
