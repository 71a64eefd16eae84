/* [topk]: of the layer before, the k channels whose scores in layer `from` are largest, the largest first. */
#include <string.h>

#include "last.h"
#include "topk.h"

struct topk {
    float *margins; /* of each image of the last run */
    char *taken;    /* of each channel */
    int *chosen;    /* of one image, the largest first */
};

/* Strictly, so the lower index comes first of equal scores; a NaN is larger than all numbers. */
static int is_larger(float a, float b)
{
    return a > b || (a != a && b == b);
}

static int largest(const float *scores, const char *taken, int count)
{
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (!taken[i] && (best < 0 || is_larger(scores[i], scores[best]))) best = i;
    }
    return best;
}

/* Fills `chosen` and the margin of one image. */
static void choose(const layer *l, const float *scores, int image)
{
    const struct topk *k = l->dk->own;
    memset(k->taken, 0, (size_t)l->c);
    for (int i = 0; i < l->out_c; i++) {
        k->chosen[i] = largest(scores, k->taken, l->c);
        k->taken[k->chosen[i]] = 1;
    }
    int next = largest(scores, k->taken, l->c);
    k->margins[image] = next < 0 ? INFINITY : scores[k->chosen[l->out_c - 1]] - scores[next];
}

static void forward_topk(layer l, network net)
{
    const struct topk *k = l.dk->own;
    size_t cells = (size_t)l.h * (size_t)l.w;
    float *to = l.output;
    for (int b = 0; b < l.batch; b++) {
        const float *image = net.input + (size_t)b * (size_t)l.inputs;
        choose(&l, dk_source(&l, 1) + (size_t)b * (size_t)l.c, b);
        for (int i = 0; i < l.out_c; i++, to += cells) {
            memcpy(to, image + (size_t)k->chosen[i] * cells, cells * sizeof *to);
        }
    }
}

static void forward_topk_last(layer l, network net)
{
    const struct topk *k = l.dk->own;
    size_t cells = (size_t)l.h * (size_t)l.w;
    float *to = l.output;
    choose(&l, dk_source(&l, 1), 0);
    for (size_t cell = 0; cell < cells; cell++) {
        for (int i = 0; i < l.out_c; i++) *to++ = net.input[cell * (size_t)l.c + (size_t)k->chosen[i]];
    }
}

static void make_topk(const struct dk_place *p, layer *l)
{
    int from = dk_add_from(p, l), count = dk_int(p->options, "k", 0);
    dk_shape scores = dk_shape_of(p->net, from);
    if (!count) dk_fail(DK_BAD_CFG, "k is missing");
    if (count > l->c) dk_fail(DK_BAD_CFG, "k=%d is more than the %d channels", count, l->c);
    if (p->net->layers[from].outputs != l->c) {
        dk_fail(DK_BAD_CFG, "layer %d gives %dx%dx%d, not one score for each of %d channels", from, scores.c, scores.h,
                scores.w, l->c);
    }
    struct topk *k = dk_own(l, sizeof *k);
    k->margins = dk_calloc((size_t)l->batch, sizeof *k->margins);
    k->taken = dk_calloc((size_t)l->c, 1);
    k->chosen = dk_calloc((size_t)count, sizeof *k->chosen);
    dk_set_shape(l, count, l->h, l->w);
    l->forward = forward_topk;
    /* The scores must lie the same in both orders. */
    if (scores.c == 1 || scores.h * scores.w == 1) l->dk->forward_last = forward_topk_last;
}

const float *dk_topk_margins_of(const layer *l)
{
    return strcmp(l->dk->type, "topk") ? NULL : ((const struct topk *)l->dk->own)->margins;
}

static const struct dk_key keys[] = {{"k", COUNT}, {"from", SIGNED}, END};
const struct dk_kind dk_kind_topk = {"topk", "", keys, NULL, make_topk, NULL};
