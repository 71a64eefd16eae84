/* The order of work of a prepared network: steps over values that share one arena of memory. */
#ifndef DK_PLAN_H
#define DK_PLAN_H
#include "convolution.h"
#include "traits.h"

/* How the values of a map lie: C, H, W or H, W, C. */
enum dk_order { FIRST, LAST };

enum dk_step_kind {
    CONVERT,  /* from -> to, the other order */
    COPY,     /* from -> to */
    CONVOLVE, /* from -> to by the convolution of `layer`, then the activation of layer `after` */
    FORWARD,  /* the layer's own forward, or its forward_last when `order` is LAST */
    KEEP      /* from, in whatever order, into the store of `layer` */
};

struct dk_step {
    enum dk_step_kind kind;
    int layer, after, order, add, fused;
    int from, to; /* numbers of values */
};

/* What a layer gives, in one order: number 2 * (layer + 1) + order, the network's input being layer -1. */
struct dk_value {
    size_t count, offset; /* floats, of one image */
    int first, last;      /* steps between which it must stay; first is -1 before it is made */
    int same;             /* the value that it shares memory with, or itself */
    int stored;           /* it is there before the run, in the store of its layer */
};

struct dk_plan {
    network *net;
    struct dk_step *steps;
    struct dk_value *values;
    int *origins; /* of each layer: the layer whose output it hands on, or itself; [0] is that of the input */
    int step_count;
    float *arena;
    size_t arena_count;
};

/* What layers' outputs are kept in for all images of a run, N, C, H, W; [0] is the network's input. NULL where
 * nothing is kept. */
typedef float **dk_stores;

/* Steps from the layers that `given` marks to those that `kept` marks; both count from the input, as stores do. */
struct dk_plan *dk_make_plan(network *net, const char *given, const char *kept);
void dk_release_plan(struct dk_plan *plan);
/* Runs image number `item`. margins: where a [topk] layer's margins go, by layer, NULL for others. */
void dk_run_plan(const struct dk_plan *plan, dk_stores stores, float **margins, int item);

/* plan_values.c: numbers of values, and their places in the arena. */
int dk_value_of(const struct dk_plan *plan, int layer, enum dk_order order);
int dk_layer_of(int value);
enum dk_order dk_order_of(int value);
void dk_place_values(struct dk_plan *plan);

/* order.c: a map of channels x cells into the other order. */
void dk_to_last(const float *from, float *to, int channels, int cells);
void dk_to_first(const float *from, float *to, int channels, int cells);
#endif
