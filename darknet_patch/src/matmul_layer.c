/* [matmul]: C matrices of H x W each times those of layer `from`; one matrix goes with all of the other side. */
#include "layers.h"

struct matrices {
    int count, rows, columns, stored_width, transposed;
};

struct product {
    struct matrices a, b;
};

static void forward_matmul(layer l, network net)
{
    const struct product *k = l.dk->own;
    const float *other = dk_source(&l, 1);
    size_t cells = (size_t)l.out_h * (size_t)l.out_w;
    for (int m = 0; m < l.batch * l.out_c; m++) {
        int image = m / l.out_c, matrix = m % l.out_c;
        size_t at = (size_t)image * (size_t)k->a.count + (size_t)(k->a.count == 1 ? 0 : matrix);
        size_t bt = (size_t)image * (size_t)k->b.count + (size_t)(k->b.count == 1 ? 0 : matrix);
        l.dk->multiply(k->a.transposed, k->b.transposed, l.out_h, l.out_w, k->a.columns, 1,
                       net.input + at * k->a.rows * k->a.columns, k->a.stored_width,
                       other + bt * k->b.rows * k->b.columns, k->b.stored_width, 0, l.output + (size_t)m * cells,
                       l.out_w);
    }
}

static struct matrices matrices_of(dk_shape shape, int transposed)
{
    struct matrices found = {shape.c, shape.h, shape.w, shape.w, transposed};
    if (transposed) {
        found.rows = shape.w;
        found.columns = shape.h;
    }
    return found;
}

static void make_matmul(const struct dk_place *p, layer *l)
{
    int from = dk_add_from(p, l);
    struct product *k = dk_own(l, sizeof *k);
    k->a = matrices_of(p->shape, dk_int(p->options, "transpose", 0));
    k->b = matrices_of(dk_shape_of(p->net, from), dk_int(p->options, "transpose_from", 0));
    if (k->a.columns != k->b.rows) {
        dk_fail(DK_BAD_CFG, "multiplies matrices of %dx%d by matrices of %dx%d (of layer %d)", k->a.rows, k->a.columns,
                k->b.rows, k->b.columns, from);
    }
    if (k->a.count != k->b.count && k->a.count != 1 && k->b.count != 1) {
        dk_fail(DK_BAD_CFG, "multiplies %d matrices by %d (of layer %d)", k->a.count, k->b.count, from);
    }
    dk_set_shape(l, k->a.count == 1 ? k->b.count : k->a.count, k->a.rows, k->b.columns);
    l->forward = forward_matmul;
}

static const struct dk_key keys[] = {{"from", SIGNED}, {"transpose", SWITCH}, {"transpose_from", SWITCH}, END};
const struct dk_kind dk_kind_matmul = {"matmul", "", keys, NULL, make_matmul, NULL};
