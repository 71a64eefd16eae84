/* [slice]: a part of the map along channels, height or width. */
#include <string.h>

#include "last.h"

struct cut {
    int axis, begin, cells;
};

static void copy_part(const layer *l, const float *from, struct dk_run run, const struct cut *k)
{
    size_t part = (size_t)k->cells * run.inner, whole = run.length * run.inner;
    from += (size_t)k->begin * run.inner;
#pragma omp parallel for if (run.outer * part > DK_MANY && run.outer > 1)
    for (size_t o = 0; o < run.outer; o++) memcpy(l->output + o * part, from + o * whole, part * sizeof(float));
}

static void forward_slice(layer l, network net)
{
    const struct cut *k = l.dk->own;
    struct dk_run run = dk_run_of((dk_shape){l.c, l.h, l.w}, k->axis, k->axis);
    run.outer *= (size_t)l.batch;
    copy_part(&l, net.input, run, k);
}

static void forward_slice_last(layer l, network net)
{
    const struct cut *k = l.dk->own;
    struct dk_run run = dk_run_last((dk_shape){l.c, l.h, l.w}, k->axis, k->axis);
    copy_part(&l, net.input, run, k);
}

/* Part `slice_pos` of slice_num + 1 equal ones. */
static void equal_part(list *options, int length, int *begin, int *end)
{
    int parts = dk_int(options, "slice_num", 0), part = dk_int(options, "slice_pos", 0);
    if (!dk_has(options, "slice_num") || !dk_has(options, "slice_pos")) {
        dk_fail(DK_BAD_CFG, "needs slice_num and slice_pos, or slice_begin or slice_end");
    }
    if (parts >= length || length % (parts + 1)) {
        dk_fail(DK_BAD_CFG, "slice_num=%d does not cut %d cells into equal parts", parts, length);
    }
    parts++;
    if (part >= parts) dk_fail(DK_BAD_CFG, "slice_pos=%d, but the parts are 0 to %d", part, parts - 1);
    *begin = part * (length / parts);
    *end = *begin + length / parts;
}

/* From slice_begin up to but not with slice_end; negative counts from the end. */
static void given_part(list *options, int length, int *begin, int *end)
{
    if (dk_has(options, "slice_num") || dk_has(options, "slice_pos")) {
        dk_fail(DK_BAD_CFG, "slice_num, slice_pos and slice_begin, slice_end exclude each other");
    }
    int first = dk_int(options, "slice_begin", 0), last = dk_int(options, "slice_end", length);
    *begin = first < 0 ? length + first : first;
    *end = last < 0 ? length + last : last;
    if (*begin < 0 || *begin >= *end || *end > length) {
        dk_fail(DK_BAD_CFG, "slice_begin=%d, slice_end=%d is no part of %d cells", first, last, length);
    }
}

static void make_slice(const struct dk_place *p, layer *l)
{
    static const int axes[] = {CHANNELS, WIDTH, HEIGHT, CHANNELS}; /* of slice_axis 0 to 3 */
    dk_need_image(p);
    if (!dk_has(p->options, "slice_axis")) dk_fail(DK_BAD_CFG, "slice_axis is missing");
    int axis = axes[dk_int(p->options, "slice_axis", 0)];
    int shape[3] = {l->c, l->h, l->w}, begin, end;
    if (dk_has(p->options, "slice_begin") || dk_has(p->options, "slice_end")) {
        given_part(p->options, shape[axis], &begin, &end);
    } else {
        equal_part(p->options, shape[axis], &begin, &end);
    }
    shape[axis] = end - begin;
    dk_set_shape(l, shape[CHANNELS], shape[HEIGHT], shape[WIDTH]);
    struct cut *k = dk_own(l, sizeof *k);
    k->axis = axis;
    k->begin = begin;
    k->cells = end - begin;
    l->forward = forward_slice;
    l->dk->forward_last = forward_slice_last;
}

static const struct dk_key keys[] = {
    {"slice_axis", WHOLE, 0, 3, NULL}, {"slice_num", CELLS}, {"slice_pos", CELLS}, {"slice_begin", SIGNED},
    {"slice_end", SIGNED}, END,
};
const struct dk_kind dk_kind_slice = {"slice", "", keys, NULL, make_slice, NULL};
