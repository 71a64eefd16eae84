#include "exponent.h"

#include <stdint.h>
#include <string.h>

/* e^x = 2^n e^r, n the integer next to x / log 2 and |r| at most log 2 / 2, in double precision. e^r is the power
 * series up to r^8 / 8!, which leaves out 2.1e-10 of it. Adding 1.5 * 2^52 leaves n in the low bits of the sum, from
 * where a shift brings it into the exponent of 2^n. Below -120 float32 has but 0. */
void dk_exp(float *values, size_t count)
{
    const double rounding = 0x1.8p52, one = 1;
    int64_t one_bits;
    memcpy(&one_bits, &one, sizeof one);
    for (size_t i = 0; i < count; i++) {
        double x = values[i] < -120 ? -120 : values[i];
        double shifted = x * 1.4426950408889634 + rounding, r = x - (shifted - rounding) * 0.6931471805599453, scale;
        int64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        bits = (int64_t)((uint64_t)bits << 52) + one_bits;
        memcpy(&scale, &bits, sizeof bits);
        double series = 1 + r / 8;
        for (int n = 7; n >= 1; n--) series = 1 + series * r * (1. / n);
        values[i] = (float)(series * scale);
    }
}
