/* Stand-in for THNN: the rectifier. Linked with libTH as upstream's is. */
#include "TH.h"

void THNN_threshold(double *values, long n)
{
    for (long i = 0; i < n; i++)
        if (values[i] < 0)
            values[i] = 0;
}

int THNN_linearAlgebra(void) { return TH_linearAlgebra(); }
