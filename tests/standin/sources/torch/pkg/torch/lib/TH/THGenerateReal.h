#ifndef STANDIN_GENERATE_REAL_H
#define STANDIN_GENERATE_REAL_H
/* Names of functions that exist once for each type, as upstream forms them. */
#define TH_CONCAT(x, y, z) x##y##z
#define TH_CONCAT_3(x, y, z) TH_CONCAT(x, y, z)
#define THNN_(name) TH_CONCAT_3(THNN_, Real, name)
#endif
