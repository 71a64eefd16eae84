#ifndef DK_MAXPOOL_H
#define DK_MAXPOOL_H
#include "window.h"

/* Where the largest value of a part of a map is, the first of equal ones; a NaN is larger than all. */
size_t dk_largest(const float *map, int width, struct dk_span y, struct dk_span x);
#endif
