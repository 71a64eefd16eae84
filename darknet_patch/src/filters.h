/* What filter_layers.c tells about a [convolutional] of ours; NULL for any other layer. */
#ifndef DK_FILTERS_H
#define DK_FILTERS_H
#include "channel_norm.h"
#include "columns.h"

const struct dk_filters *dk_filters_of(const layer *l);
const struct dk_norm *dk_filters_norm(const layer *l);
/* Lets the layer's weights lie at `values`, where they are loaded to and read from. */
void dk_move_filters(layer *l, float *values);
#endif
