/* [convolutional] and [deconvolutional] with sizes, strides, padding and dilation of their own on each axis. */
#include <string.h>

#include "channel_norm.h"
#include "columns.h"
#include "filters.h"
#include "stock.h"

struct filter_layer {
    struct dk_filters filters;
    struct dk_norm norm;
    const float *weights;
};

static void forward_convolutional(layer l, network net)
{
    const struct filter_layer *k = l.dk->own;
    const struct dk_filters *f = &k->filters;
    int channels = l.c / f->groups, filters = f->count / f->groups, taps = channels * f->y.size * f->x.size;
    size_t positions = (size_t)l.out_h * (size_t)l.out_w, cells = (size_t)l.h * (size_t)l.w;
    for (int part = 0; part < l.batch * f->groups; part++) {
        const float *map = net.input + (size_t)part * (size_t)channels * cells;
        const float *weights = k->weights + (size_t)(part % f->groups) * (size_t)filters * (size_t)taps;
        float *out = l.output + (size_t)part * (size_t)filters * positions;
        if (!dk_is_pointwise(f)) dk_to_columns(map, channels, f, net.workspace);
        l.dk->multiply(0, 0, filters, (int)positions, taps, 1, weights, taps,
                       dk_is_pointwise(f) ? map : net.workspace, (int)positions, 0, out, (int)positions);
    }
    dk_apply_norm(&k->norm, l.output, l.output, l.batch, f->count, positions);
}

/* The taps of a position at cell (y, x) of the input see the output: what a convolution reads, this writes. */
static void forward_deconvolutional(layer l, network net)
{
    const struct filter_layer *k = l.dk->own;
    const struct dk_filters *f = &k->filters;
    int channels = l.c / f->groups, filters = f->count / f->groups, taps = filters * f->y.size * f->x.size;
    size_t positions = (size_t)l.h * (size_t)l.w, cells = (size_t)l.out_h * (size_t)l.out_w;
    memset(l.output, 0, (size_t)l.batch * (size_t)l.outputs * sizeof *l.output);
    for (int part = 0; part < l.batch * f->groups; part++) {
        const float *map = net.input + (size_t)part * (size_t)channels * positions;
        const float *weights = k->weights + (size_t)(part % f->groups) * (size_t)channels * (size_t)taps;
        l.dk->multiply(1, 0, taps, (int)positions, channels, 1, weights, taps, map, (int)positions, 0, net.workspace,
                       (int)positions);
        dk_add_columns(net.workspace, filters, f, l.output + (size_t)part * (size_t)filters * cells);
    }
    dk_apply_norm(&k->norm, l.output, l.output, l.batch, f->count, cells);
}

static struct filter_layer *begin(const struct dk_place *p, layer *l)
{
    dk_need_image(p);
    struct filter_layer *k = dk_own(l, sizeof *k);
    k->filters = dk_read_filters(p);
    l->activation = LOGISTIC; /* upstream's default in these sections */
    return k;
}

static void finish(const struct dk_place *p, layer *l, struct filter_layer *k, int rows)
{
    const struct dk_filters *f = &k->filters;
    dk_check_size("workspace", rows / f->groups, f->y.size, f->x.size, f->y.count, f->x.count);
    l->workspace_size = (size_t)(rows / f->groups) * (size_t)(f->y.size * f->x.size) *
                        ((size_t)f->y.count * (size_t)f->x.count) * sizeof(float);
    dk_check_size("weights", l->c / f->groups, f->count, f->y.size, f->x.size, 1);
    k->norm = dk_add_norm(l, p->options, f->count);
    k->weights = dk_add_weights(l, (double)(l->c / f->groups) * f->count * f->y.size * f->x.size, 1, 0);
}

static void count_positions(const char *name, struct dk_slide *slide, int cells)
{
    slide->cells = cells;
    slide->count = dk_window_count(name, dk_reach(slide), slide->stride, cells, 2L * slide->padding);
    dk_check_size("padded input", cells + 2.0 * slide->padding, 1, 1, 1, 1);
}

static void make_convolutional(const struct dk_place *p, layer *l)
{
    struct filter_layer *k = begin(p, l);
    if (dk_int(p->options, "flipped", 0)) dk_fail(DK_BAD_CFG, "flipped is for square filters without dilation");
    count_positions("height", &k->filters.y, l->h);
    count_positions("width", &k->filters.x, l->w);
    dk_set_shape(l, k->filters.count, k->filters.y.count, k->filters.x.count);
    finish(p, l, k, l->c);
    l->forward = forward_convolutional;
}

static void count_cells(list *options, char axis, struct dk_slide *slide, int positions)
{
    int extra = dk_per_axis(options, "output_padding", axis, 0);
    if (extra && extra >= slide->stride && extra >= slide->dilation) {
        dk_fail(DK_BAD_CFG, "output_padding=%d must be less than the stride of %d or the dilation of %d", extra,
                slide->stride, slide->dilation);
    }
    double cells = (positions - 1.0) * slide->stride + dk_reach(slide) + extra;
    dk_check_size("output", cells, 1, 1, 1, 1);
    if (cells - 2.0 * slide->padding < 1) dk_fail(DK_BAD_CFG, "padding=%d leaves no output", slide->padding);
    slide->count = positions;
    slide->cells = (int)(cells - 2.0 * slide->padding);
}

static void make_deconvolutional(const struct dk_place *p, layer *l)
{
    struct filter_layer *k = begin(p, l);
    count_cells(p->options, 'h', &k->filters.y, l->h);
    count_cells(p->options, 'w', &k->filters.x, l->w);
    dk_set_shape(l, k->filters.count, k->filters.y.cells, k->filters.x.cells);
    finish(p, l, k, k->filters.count);
    l->forward = forward_deconvolutional;
}

static struct filter_layer *convolutional(const layer *l)
{
    int is_one = l->type == OURS && !strcmp(l->dk->type, "convolutional");
    return is_one ? l->dk->own : NULL;
}

const struct dk_filters *dk_filters_of(const layer *l)
{
    const struct filter_layer *k = convolutional(l);
    return k ? &k->filters : NULL;
}

const struct dk_norm *dk_filters_norm(const layer *l)
{
    const struct filter_layer *k = convolutional(l);
    return k ? &k->norm : NULL;
}

void dk_move_filters(layer *l, float *values)
{
    convolutional(l)->weights = values;
    l->dk->weights[l->dk->weight_count - 1].values = values;
}

static int is_ours_too(list *options)
{
    return dk_has_filter_keys(options) || dk_has(options, "groups");
}

static const struct dk_key convolutional_keys[] = {
    FILTER_KEYS, {"flipped", SWITCH}, {"binary", OFF}, {"xnor", OFF}, {"dot", TRAINING}, END,
};
static const struct dk_key deconvolutional_keys[] = {
    FILTER_KEYS, {"output_padding", CELLS}, {"output_padding_h", CELLS}, {"output_padding_w", CELLS}, END,
};
const struct dk_kind dk_kind_convolutional = {
    "convolutional", "conv", convolutional_keys, dk_check_convolutional, make_convolutional, dk_has_filter_keys,
};
const struct dk_kind dk_kind_deconvolutional = {
    "deconvolutional", "deconv", deconvolutional_keys, dk_check_deconvolutional, make_deconvolutional, is_ours_too,
};
