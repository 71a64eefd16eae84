/* [unpool]: each value goes where the largest cell of its window was before a [maxpool], all other cells are 0.
 * The places are found anew in what that pool read, so no layer has to keep indices. */
#include <string.h>

#include "maxpool.h"

static void forward_unpool(layer l, network net)
{
    const struct dk_window *k = l.dk->own;
    const float *pooled = dk_source(&l, 1);
    size_t in = (size_t)l.h * (size_t)l.w, out = (size_t)l.out_h * (size_t)l.out_w;
    int maps = l.batch * l.c;
#pragma omp parallel for
    for (int m = 0; m < maps; m++) {
        const float *from = net.input + (size_t)m * in, *map = pooled + (size_t)m * out;
        float *to = l.output + (size_t)m * out;
        memset(to, 0, out * sizeof *to);
        for (int i = 0; i < l.h; i++) {
            struct dk_span rows = dk_span_of(k->y, i, l.out_h);
            for (int j = 0; j < l.w; j++) to[dk_largest(map, l.out_w, rows, dk_span_of(k->x, j, l.out_w))] = *from++;
        }
    }
}

static void make_unpool(const struct dk_place *p, layer *l)
{
    int index = dk_add_from(p, l);
    const layer *pool = &p->net->layers[index];
    const char *type = pool->dk->type;
    if (strcmp(type, "maxpool")) dk_fail(DK_BAD_CFG, "from=%d is a [%s], not a [maxpool]", index, type);
    if (l->c != pool->out_c || l->h != pool->out_h || l->w != pool->out_w) {
        dk_fail(DK_BAD_CFG, "gets %dx%dx%d, but the pool of layer %d gives %dx%dx%d", l->c, l->h, l->w, index,
                pool->out_c, pool->out_h, pool->out_w);
    }
    struct dk_window *k = dk_own(l, sizeof *k);
    *k = *(const struct dk_window *)pool->dk->own;
    if (k->y.size > k->y.stride || k->x.size > k->x.stride) {
        dk_fail(DK_BAD_CFG, "the windows of layer %d overlap: %dx%d every %dx%d cells", index, k->y.size, k->x.size,
                k->y.stride, k->x.stride);
    }
    l->dk->sources[1] = index - 1; /* what the pool read, not what it gave */
    dk_set_shape(l, pool->c, pool->h, pool->w);
    l->forward = forward_unpool;
}

static const struct dk_key keys[] = {{"from", SIGNED}, END};
const struct dk_kind dk_kind_unpool = {"unpool", "", keys, NULL, make_unpool, NULL};
