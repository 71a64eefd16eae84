/* The values of one network against those of another that was loaded differently. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

/* Relative to the largest value that goes in or comes out, or 1; sums have up to some thousand terms. */
static const double LIMIT = 1e-4;
/* Beyond this the order of a sum decides whether it overflows. */
static const float ENORMOUS = 1e30F;

static int is_enormous(float value)
{
    return !(fabsf(value) < ENORMOUS);
}

/* NaN must not become a number. An infinity may become NaN: oneDNN's relu multiplies -inf by 0. */
static int agree(float found, float wanted, double tolerance, int wild)
{
    if (is_enormous(wanted)) return is_enormous(2 * found);
    if (wild && !isfinite(found)) return 1;
    return fabs((double)found - wanted) <= tolerance;
}

/* The largest value that goes in or comes out, at least 1, and whether any of them is enormous. */
struct range {
    double most;
    int wild;
};

static void widen(struct range *range, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_enormous(values[i])) range->wild = 1;
        else if (fabs(values[i]) > range->most) range->most = fabs(values[i]);
    }
}

static void compare(const dk_net *net, int layer, const float *found, const float *wanted, size_t count,
                    struct range range)
{
    for (size_t i = 0; i < count; i++) {
        if (agree(found[i], wanted[i], LIMIT * range.most, range.wild)) continue;
        fprintf(stderr, "layer %d [%s], value %zu: %.9g instead of %.9g (tolerance %.3g)\n", layer,
                dk_layer_type(net, layer), i, found[i], wanted[i], LIMIT * range.most);
        must(0, "a layer gives the same values whichever way it runs");
    }
}

/* Hands the sources of `layer` from one network to the other. */
static struct range give_sources(dk_net *net, dk_net *plain, int layer, int batch)
{
    struct range range = {1, 0};
    int count = dk_layer_sources(net, layer, NULL, 0);
    int *sources = malloc((size_t)(count + 1) * sizeof *sources);
    must(sources && dk_layer_sources(net, layer, sources, count) == count, "a layer tells its sources");
    for (int i = 0; i < count; i++) {
        float *values = output_of(net, sources[i], batch);
        must(dk_set_output(plain, sources[i], values, batch) == DK_OK, "a source can be given");
        widen(&range, values, count_of(net, sources[i], batch));
        free(values);
    }
    free(sources);
    return range;
}

int compare_layers(dk_net *net, dk_net *plain, int batch)
{
    for (int layer = 0; layer < dk_layer_count(net); layer++) {
        struct range range = give_sources(net, plain, layer, batch);
        int status = dk_forward_layer(plain, layer, batch);
        must(status == DK_OK || status == DK_NO_MEMORY, "a layer runs alone");
        if (status != DK_OK) return 0;
        float *wanted = output_of(plain, layer, batch), *found = output_of(net, layer, batch);
        size_t count = count_of(net, layer, batch);
        widen(&range, wanted, count);
        compare(net, layer, found, wanted, count, range);
        free(found);
        free(wanted);
    }
    return 1;
}

/* Layers whose values jump, or grow without bound, for a small change of what they read. */
static int is_rough(const char *type)
{
    static const char *const types[] = {"topk", "unpool", "divide", "power", "l2norm", "instancenorm", "batchnorm"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!strcmp(types[i], type)) return 1;
    }
    return 0;
}

void compare_outputs(dk_net *net, dk_net *plain, int layer, int batch)
{
    struct range range = {1, 0};
    for (int i = -1; i <= layer; i++) {
        float *values = output_of(plain, i, batch);
        widen(&range, values, count_of(plain, i, batch));
        free(values);
        if (range.wild || range.most > 1e6 || (i >= 0 && is_rough(dk_layer_type(plain, i)))) return;
    }
    float *wanted = output_of(plain, layer, batch), *found = output_of(net, layer, batch);
    compare(net, layer, found, wanted, count_of(net, layer, batch), range);
    free(found);
    free(wanted);
}
