/* [sum], [multiply], [divide] and [maximum]: the layer before (p) with the layer `from` (q), cell by cell, where
 * an axis of one cell on either side goes with every cell of the other. A NaN on either side stays one. */
#include "broadcast.h"

#include <string.h>

#include "last.h"

enum operation { SUM, MULTIPLY, DIVIDE, MAXIMUM };

struct operand {
    size_t image, channel, row, cell; /* steps between neighbours, 0 along an axis that is repeated */
};

struct pair {
    enum operation operation;
    double scale, scale_from;
    struct operand p, q;
};

static struct operand operand_of(dk_shape shape, dk_shape out)
{
    size_t cell = 1, row = (size_t)shape.w, channel = row * (size_t)shape.h, image = channel * (size_t)shape.c;
    return (struct operand){image, shape.c == out.c ? channel : 0, shape.h == out.h ? row : 0,
                            shape.w == out.w ? cell : 0};
}

#define EACH(value) \
    for (size_t x = 0; x < count; x++) { \
        float p = a[x * step_a], q = b[x * step_b]; \
        out[x] = value; \
    } \
    break

static inline __attribute__((always_inline)) void each(const struct pair *k, size_t count, const float *a,
                                                       size_t step_a, const float *b, size_t step_b,
                                                       float *restrict out)
{
    switch (k->operation) {
    case SUM:
        EACH((float)(k->scale * p + k->scale_from * q));
    case MULTIPLY:
        EACH(p * q);
    case DIVIDE:
        EACH(p / q);
    case MAXIMUM:
        EACH(p > q || p != p ? p : q);
    }
}

/* Each step is 0 or 1; known ones let gcc make vectors of the loops. */
static void combine(const struct pair *k, size_t count, const float *a, size_t step_a, const float *b, size_t step_b,
                    float *out)
{
    if (step_a && step_b) each(k, count, a, 1, b, 1, out);
    else if (step_a) each(k, count, a, 1, b, 0, out);
    else each(k, count, a, 0, b, step_b, out);
}

static void forward_pair(layer l, network net)
{
    const struct pair *k = l.dk->own;
    const float *other = dk_source(&l, 1);
    int maps = l.batch * l.out_c;
#pragma omp parallel for if ((size_t)l.batch * (size_t)l.outputs > DK_MANY)
    for (int m = 0; m < maps; m++) {
        size_t image = (size_t)(m / l.out_c), channel = (size_t)(m % l.out_c);
        const float *a = net.input + image * k->p.image + channel * k->p.channel;
        const float *b = other + image * k->q.image + channel * k->q.channel;
        float *out = l.output + (size_t)m * l.out_h * l.out_w;
        for (int y = 0; y < l.out_h; y++) {
            combine(k, (size_t)l.out_w, a + (size_t)y * k->p.row, k->p.cell, b + (size_t)y * k->q.row, k->q.cell,
                    out + (size_t)y * l.out_w);
        }
    }
}

static struct operand operand_last(dk_shape shape, dk_shape out)
{
    size_t channel = 1, cell = (size_t)shape.c, row = cell * (size_t)shape.w;
    return (struct operand){0, shape.c == out.c ? channel : 0, shape.h == out.h ? row : 0,
                            shape.w == out.w ? cell : 0};
}

static void forward_pair_last(layer l, network net)
{
    const struct pair *k = l.dk->own;
    dk_shape out = {l.out_c, l.out_h, l.out_w};
    struct operand p = operand_last((dk_shape){l.c, l.h, l.w}, out);
    struct operand q = operand_last(dk_shape_of(l.dk->net, l.dk->sources[1]), out);
    const float *other = dk_source(&l, 1);
    int cells = l.out_h * l.out_w;
#pragma omp parallel for if (l.outputs > DK_MANY)
    for (int i = 0; i < cells; i++) {
        size_t y = (size_t)(i / l.out_w), x = (size_t)(i % l.out_w);
        combine(k, (size_t)l.out_c, net.input + y * p.row + x * p.cell, p.channel, other + y * q.row + x * q.cell,
                q.channel, l.output + (size_t)i * (size_t)l.out_c);
    }
}

static int common(const char *axis, int a, int b, int from)
{
    if (a != b && a != 1 && b != 1) {
        dk_fail(DK_BAD_CFG, "%s %d and %d (of layer %d) do not go together", axis, a, b, from);
    }
    return a == 1 ? b : a;
}

static void make_pair(const struct dk_place *p, layer *l, enum operation operation)
{
    int from = dk_add_from(p, l);
    dk_shape a = p->shape, b = dk_shape_of(p->net, from);
    int c = common("channels", a.c, b.c, from), h = common("height", a.h, b.h, from);
    int w = common("width", a.w, b.w, from);
    dk_set_shape(l, c, h, w);
    struct pair *k = dk_own(l, sizeof *k);
    k->operation = operation;
    k->scale = dk_real(p->options, "scale", 1);
    k->scale_from = dk_real(p->options, "scale_from", 1);
    k->p = operand_of(a, (dk_shape){c, h, w});
    k->q = operand_of(b, (dk_shape){c, h, w});
    l->forward = forward_pair;
    l->dk->forward_last = forward_pair_last;
}

int dk_is_plain_pair(const layer *l)
{
    if (strcmp(l->dk->type, "sum")) return 0;
    const struct pair *k = l->dk->own;
    return k->scale == 1 && k->scale_from == 1 && !memcmp(&k->p, &k->q, sizeof k->p);
}

static void make_sum(const struct dk_place *p, layer *l)
{
    make_pair(p, l, SUM);
}

static void make_multiply(const struct dk_place *p, layer *l)
{
    make_pair(p, l, MULTIPLY);
}

static void make_divide(const struct dk_place *p, layer *l)
{
    make_pair(p, l, DIVIDE);
}

static void make_maximum(const struct dk_place *p, layer *l)
{
    make_pair(p, l, MAXIMUM);
}

static const struct dk_key sum_keys[] = {
    {"from", SIGNED}, {"scale", ANY}, {"scale_from", ANY}, ACTIVATION_KEYS, END,
};
static const struct dk_key keys[] = {{"from", SIGNED}, ACTIVATION_KEYS, END};
const struct dk_kind dk_kind_sum = {"sum", "", sum_keys, NULL, make_sum, NULL};
const struct dk_kind dk_kind_multiply = {"multiply", "", keys, NULL, make_multiply, NULL};
const struct dk_kind dk_kind_divide = {"divide", "", keys, NULL, make_divide, NULL};
const struct dk_kind dk_kind_maximum = {"maximum", "", keys, NULL, make_maximum, NULL};
