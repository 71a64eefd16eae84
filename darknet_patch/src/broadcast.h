#ifndef DK_BROADCAST_H
#define DK_BROADCAST_H
#include "layers.h"

/* Whether a layer of ours is a [sum] of two maps of one shape with both factors 1. */
int dk_is_plain_pair(const layer *l);
#endif
