/* The exponential of many numbers, in vectors: a call of expf for each takes four times as long. */
#ifndef DK_EXPONENT_H
#define DK_EXPONENT_H
#include <stddef.h>

/* Makes e^x of each x that is at most 88; NaN stays NaN. Within 0.504 units in the last place; expf is within 0.502. */
void dk_exp(float *values, size_t count);
#endif
