/* Filters sliding over a map: geometry, and the map as a matrix of what every filter position sees. */
#ifndef DK_COLUMNS_H
#define DK_COLUMNS_H
#include "layers.h"

/* One axis: filter position i, tap t sees cell i * stride - padding + t * dilation. */
struct dk_slide {
    int size, stride, padding, dilation;
    int cells, count; /* of the map, and of filter positions */
};

struct dk_filters {
    struct dk_slide y, x;
    int count, groups;
};

#define FILTER_KEYS \
    {"filters", COUNT}, {"size", COUNT}, {"stride", COUNT}, {"pad", CELLS}, {"padding", CELLS}, {"groups", COUNT}, \
    {"size_h", COUNT}, {"size_w", COUNT}, {"stride_h", COUNT}, {"stride_w", COUNT}, {"padding_h", CELLS}, \
    {"padding_w", CELLS}, {"dilation", COUNT}, {"dilation_h", COUNT}, {"dilation_w", COUNT}, \
    {"stride_y", COUNT}, {"stride_x", COUNT}, {"batch_normalize", SWITCH}, ACTIVATION_KEYS

/* Everything but cells and count of the axes. */
struct dk_filters dk_read_filters(const struct dk_place *place);
/* stride_h or stride_w, else stride_y or stride_x as other builds of Darknet write them, else `stride`. */
int dk_stride(list *options, char axis);
/* key_h or key_w, else the key for both axes, else `otherwise`. */
int dk_per_axis(list *options, const char *key, char axis, int otherwise);
/* Whether a key of this engine is there, which upstream's layer does not know. */
int dk_has_filter_keys(list *options);
/* Cells that the taps of one position span; fails when they are too many to count. */
int dk_reach(const struct dk_slide *slide);
/* Whether position, tap and cell are all one: the map is its own matrix. */
int dk_is_pointwise(const struct dk_filters *filters);

/* columns[channel, tap y, tap x][position y, position x] = what it sees, 0 outside of the map. */
void dk_to_columns(const float *map, int channels, const struct dk_filters *filters, float *columns);
/* The reverse: adds every entry to the cell that it sees. */
void dk_add_columns(const float *columns, int channels, const struct dk_filters *filters, float *map);
#endif
