/* Rules of sizes and indices that several sections share. */
#ifndef DK_SHAPES_H
#define DK_SHAPES_H
#include "sections.h"

/* Fails when a product of five sizes, as upstream forms it in int, would overflow. */
void dk_check_size(const char *what, double a, double b, double c, double d, double e);
/* Fails unless the layer before gives a map with channels, height and width. */
void dk_need_image(const struct dk_place *place);
/* How often a window fits into `cells` cells, padding included; fails when it never does. */
int dk_window_count(const char *axis, int size, int stride, int cells, long padding);
/* The layer that an index in `text` means; fails unless it stands before this one. */
int dk_layer_index(const struct dk_place *place, const char *key, const char *text);
/* Reads the list of indices at `key` and calls each(argument, index) in its order; fails without the key. */
void dk_layer_list(const struct dk_place *place, const char *key, void (*each)(void *, int), void *argument);
int dk_max_batch(void);
#endif
