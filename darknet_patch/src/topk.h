#ifndef DK_TOPK_H
#define DK_TOPK_H
#include "layers.h"

/* By how much the last kept score of each image beats the best dropped one; NULL for a layer of another kind. */
const float *dk_topk_margins_of(const layer *l);
#endif
