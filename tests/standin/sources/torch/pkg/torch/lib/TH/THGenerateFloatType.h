/* Includes the generic file once, with float as its type. */
#define real float
#define Real Float
#include TH_GENERIC_FILE
#undef real
#undef Real
#ifndef THGenerateManyTypes
#undef TH_GENERIC_FILE
#endif
