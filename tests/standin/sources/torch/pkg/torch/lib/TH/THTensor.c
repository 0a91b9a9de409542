/* Stand-in: where upstream's tensors are compiled for each type. Only the lines that edits replace are here. */
#include "TH.h"

#if 0
#include "generic/THTensor.c"
#include "THGenerateAllTypes.h"

#include "generic/THTensorMath.c"
#include "THGenerateAllTypes.h"

#include "generic/THTensorLapack.c"
#include "THGenerateFloatTypes.h"
#endif
