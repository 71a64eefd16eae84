/* [reshape], [permute] and [concat]: values moved about. */
#include <string.h>

#include "last.h"

static void forward_copy(layer l, network net)
{
    memcpy(l.output, net.input, (size_t)l.batch * (size_t)l.outputs * sizeof(float));
}

static void make_reshape(const struct dk_place *p, layer *l)
{
    static const char *const names[] = {"c", "h", "w"};
    int sizes[3], open = -1;
    double known = 1;
    for (int axis = 0; axis < 3; axis++) {
        sizes[axis] = dk_int(p->options, names[axis], 1);
        if (!sizes[axis]) dk_fail(DK_BAD_CFG, "%s must be at least 1, or -1 for what is left, got 0", names[axis]);
        if (sizes[axis] == -1 && open >= 0) dk_fail(DK_BAD_CFG, "%s and %s are both -1", names[open], names[axis]);
        if (sizes[axis] == -1) open = axis;
        else known *= sizes[axis];
    }
    if (open >= 0 && known <= p->inputs && p->inputs % (int)known == 0) sizes[open] = p->inputs / (int)known;
    if ((double)sizes[0] * sizes[1] * sizes[2] != p->inputs) {
        dk_fail(DK_BAD_CFG, "the %d values of %dx%dx%d do not fill c=%d h=%d w=%d", p->inputs, p->shape.c, p->shape.h,
                p->shape.w, sizes[0], sizes[1], sizes[2]);
    }
    dk_set_shape(l, sizes[0], sizes[1], sizes[2]);
    l->forward = forward_copy;
    if (sizes[0] == p->shape.c) l->dk->forward_last = forward_copy; /* the cells stay in order */
}

struct order {
    size_t steps[3]; /* in the input, along each axis of the output */
};

static void forward_permute(layer l, network net)
{
    const struct order *k = l.dk->own;
    int maps = l.batch * l.out_c;
#pragma omp parallel for if ((size_t)l.batch * (size_t)l.outputs > DK_MANY)
    for (int m = 0; m < maps; m++) {
        const float *from = net.input + (size_t)(m / l.out_c) * l.inputs + (size_t)(m % l.out_c) * k->steps[0];
        float *to = l.output + (size_t)m * l.out_h * l.out_w;
        for (int y = 0; y < l.out_h; y++) {
            for (int x = 0; x < l.out_w; x++) *to++ = from[(size_t)y * k->steps[1] + (size_t)x * k->steps[2]];
        }
    }
}

static void make_permute(const struct dk_place *p, layer *l)
{
    struct order *k = dk_own(l, sizeof *k);
    int axes[3], sizes[3] = {p->shape.c, p->shape.h, p->shape.w};
    size_t steps[3] = {(size_t)p->shape.h * (size_t)p->shape.w, (size_t)p->shape.w, 1};
    if (dk_axes(p->options, "order", axes) != 3) {
        dk_fail(DK_BAD_CFG, "order must name c, h and w, got '%.40s'", dk_text(p->options, "order"));
    }
    for (int i = 0; i < 3; i++) k->steps[i] = steps[axes[i]];
    dk_set_shape(l, sizes[axes[0]], sizes[axes[1]], sizes[axes[2]]);
    l->forward = forward_permute;
}

static void join(const layer *l, struct dk_run (*run_of)(dk_shape shape, int first, int last))
{
    int axis = *(const int *)l->dk->own;
    struct dk_run run = run_of((dk_shape){l->out_c, l->out_h, l->out_w}, axis, axis);
    size_t outer = (size_t)l->batch * run.outer, row = run.length * run.inner, begin = 0;
    for (int i = 0; i < l->dk->source_count; i++) {
        run = run_of(dk_shape_of(l->dk->net, l->dk->sources[i]), axis, axis);
        size_t part = run.length * run.inner;
        const float *from = dk_source(l, i);
#pragma omp parallel for if (outer * part > DK_MANY && outer > 1)
        for (size_t o = 0; o < outer; o++) memcpy(l->output + o * row + begin, from + o * part, part * sizeof(float));
        begin += part;
    }
}

static void forward_concat(layer l, network net)
{
    (void)net;
    join(&l, dk_run_of);
}

static void forward_concat_last(layer l, network net)
{
    (void)net;
    join(&l, dk_run_last);
}

static void add_source(void *argument, int index)
{
    dk_add_source(argument, index);
}

static void make_concat(const struct dk_place *p, layer *l)
{
    int *axis = dk_own(l, sizeof *axis);
    *axis = dk_axis(p->options, "axis");
    l->dk->source_count = 0; /* the layer before is one only if `layers` names it */
    dk_layer_list(p, "layers", add_source, l);
    int sizes[3];
    double length = 0;
    for (int i = 0; i < l->dk->source_count; i++) {
        dk_shape shape = dk_shape_of(p->net, l->dk->sources[i]);
        int found[3] = {shape.c, shape.h, shape.w};
        if (!i) memcpy(sizes, found, sizeof sizes);
        length += found[*axis];
        found[*axis] = sizes[*axis];
        if (memcmp(found, sizes, sizeof sizes)) {
            dk_fail(DK_BAD_CFG, "layer %d gives %dx%dx%d, which differs from layer %d not along %c alone",
                    l->dk->sources[i], shape.c, shape.h, shape.w, l->dk->sources[0], "chw"[*axis]);
        }
    }
    dk_check_size("output", length, 1, 1, 1, 1);
    sizes[*axis] = (int)length;
    dk_set_shape(l, sizes[0], sizes[1], sizes[2]);
    l->forward = forward_concat;
    l->dk->forward_last = forward_concat_last;
}

#define SIZE WHOLE, -1, INT_MAX, NULL
static const struct dk_key reshape_keys[] = {{"c", SIZE}, {"h", SIZE}, {"w", SIZE}, END};
static const struct dk_key permute_keys[] = {{"order", TEXT}, END};
static const struct dk_key concat_keys[] = {{"axis", TEXT}, {"layers", TEXT}, END};
const struct dk_kind dk_kind_reshape = {"reshape", "", reshape_keys, NULL, make_reshape, NULL};
const struct dk_kind dk_kind_permute = {"permute", "", permute_keys, NULL, make_permute, NULL};
const struct dk_kind dk_kind_concat = {"concat", "", concat_keys, NULL, make_concat, NULL};
