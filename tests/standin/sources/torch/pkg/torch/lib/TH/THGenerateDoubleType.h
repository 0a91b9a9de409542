/* Includes the generic file once, with double as its type. */
#define real double
#define Real Double
#include TH_GENERIC_FILE
#undef real
#undef Real
#ifndef THGenerateManyTypes
#undef TH_GENERIC_FILE
#endif
