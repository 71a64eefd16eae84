/* [topk]: of the layer before, the k channels whose scores in layer `from` are largest, the largest first. */
#include <string.h>

#include "topk.h"

struct topk {
    float *margins; /* of each image of the last run */
    char *taken;    /* of each channel */
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

static void forward_topk(layer l, network net)
{
    const struct topk *k = l.dk->own;
    const float *scores = dk_source(&l, 1);
    size_t cells = (size_t)l.h * (size_t)l.w;
    float *to = l.output;
    for (int b = 0; b < l.batch; b++, scores += l.c) {
        int last = 0;
        memset(k->taken, 0, (size_t)l.c);
        for (int i = 0; i < l.out_c; i++, to += cells) {
            last = largest(scores, k->taken, l.c);
            k->taken[last] = 1;
            memcpy(to, net.input + ((size_t)b * (size_t)l.c + (size_t)last) * cells, cells * sizeof *to);
        }
        int next = largest(scores, k->taken, l.c);
        k->margins[b] = next < 0 ? INFINITY : scores[last] - scores[next];
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
    dk_set_shape(l, count, l->h, l->w);
    l->forward = forward_topk;
}

const float *dk_topk_margins_of(const layer *l)
{
    return strcmp(l->dk->type, "topk") ? NULL : ((const struct topk *)l->dk->own)->margins;
}

static const struct dk_key keys[] = {{"k", COUNT}, {"from", SIGNED}, END};
const struct dk_kind dk_kind_topk = {"topk", "", keys, NULL, make_topk, NULL};
