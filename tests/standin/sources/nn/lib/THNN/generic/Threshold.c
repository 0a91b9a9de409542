#ifndef TH_GENERIC_FILE
#define TH_GENERIC_FILE "generic/Threshold.c"
#else

void THNN_(threshold)(real *values, long n)
{
    for (long i = 0; i < n; i++)
        if (values[i] < 0)
            values[i] = 0;
}

int THNN_(linearAlgebra)(void) { return TH_linearAlgebra(); }

#endif
