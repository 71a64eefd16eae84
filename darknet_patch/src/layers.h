/* What the makers and forward functions of our layers use. */
#ifndef DK_LAYERS_H
#define DK_LAYERS_H
#include "cfg.h"
#include "context.h"
#include "hooks.h"
#include "sections.h"
#include "shapes.h"

enum { CHANNELS, HEIGHT, WIDTH };

/* Memory for what a layer's C file keeps, zeroed, at l->dk->own. */
void *dk_own(layer *l, size_t size);
void dk_set_shape(layer *l, int c, int h, int w);
dk_shape dk_shape_of(const network *net, int index); /* -1: the network's input */
double dk_real(list *options, const char *key, double otherwise);

/* One more array of the weights file, filled with `value` until loaded. */
float *dk_add_weights(layer *l, double count, int loaded, float value);
/* Reads the key `from` and adds that layer to the sources; its index. Fails without the key. */
int dk_add_from(const struct dk_place *place, layer *l);
void dk_add_source(layer *l, int index);
/* The present values of source `number`, for all images. */
const float *dk_source(const layer *l, int number);

/* Axes are written c, h and w. Reads distinct ones, comma between, in their order; how many. */
int dk_axes(list *options, const char *key, int axes[3]);
int dk_axis(list *options, const char *key);
/* A map as outer x length x inner values, length being that of the axes first to last. */
struct dk_run {
    size_t outer, length, inner;
};
struct dk_run dk_run_of(dk_shape shape, int first, int last);

/* Loops over fewer values are not worth a second thread. */
enum { DK_MANY = 1 << 15 };
#endif
