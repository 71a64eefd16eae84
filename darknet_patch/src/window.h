/* Windows of pools: size, stride and padding of each axis, from the keys of a section. */
#ifndef DK_WINDOW_H
#define DK_WINDOW_H
#include "layers.h"

/* size_h, size_w, stride_h, stride_w, padding, padding_h, padding_w and padding_top, _left, _bottom, _right */
#define WINDOW_KEYS \
    {"size", COUNT}, {"stride", COUNT}, {"padding", CELLS}, {"size_h", COUNT}, {"size_w", COUNT}, \
    {"stride_h", COUNT}, {"stride_w", COUNT}, {"padding_h", CELLS}, {"padding_w", CELLS}, {"padding_top", CELLS}, \
    {"padding_left", CELLS}, {"padding_bottom", CELLS}, {"padding_right", CELLS}, {"stride_y", COUNT}, \
    {"stride_x", COUNT}

struct dk_axis {
    int size, stride, before, after; /* cells of padding before the first and after the last */
};

struct dk_window {
    struct dk_axis y, x;
};

/* Reads size_h and size_w (both needed) and what goes with them; size and stride are refused. */
struct dk_window dk_read_window(list *options);
/* How many windows an axis has; `overhang` more cells stand after the padding. Fails unless every window holds
 * a cell of the map. */
int dk_count_windows(const char *name, struct dk_axis axis, int cells, int overhang);

/* The cells of the map in window number `i`. */
struct dk_span {
    int first, end;
};
struct dk_span dk_span_of(struct dk_axis axis, int i, int cells);
#endif
