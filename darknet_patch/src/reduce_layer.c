/* [reduce]: one value for all cells along some axes, which keep the size 1. Sums are in double. */
#include <string.h>

#include "last.h"

enum reduction { MEAN, SUM, MAX, ASUM, SUMSQ };

struct reduce {
    enum reduction kind;
    int counts[3];   /* cells that go into one value, along each axis */
    size_t steps[3]; /* in the input, along each axis */
};

static double add(enum reduction kind, double total, double value)
{
    switch (kind) {
    case MAX: /* a NaN is larger than all */
        return value > total || value != value ? value : total;
    case ASUM:
        return total + fabs(value);
    case SUMSQ:
        return total + value * value;
    default:
        return total + value;
    }
}

static double start(enum reduction kind)
{
    return kind == MAX ? -INFINITY : 0;
}

static double divisor(const struct reduce *k)
{
    return k->kind == MEAN ? (double)k->counts[0] * k->counts[1] * k->counts[2] : 1;
}

static float reduce(const struct reduce *k, const float *from)
{
    double total = start(k->kind);
    for (int c = 0; c < k->counts[0]; c++) {
        for (int y = 0; y < k->counts[1]; y++) {
            const float *row = from + (size_t)c * k->steps[0] + (size_t)y * k->steps[1];
            for (int x = 0; x < k->counts[2]; x++) total = add(k->kind, total, row[x]);
        }
    }
    return (float)(total / divisor(k));
}

static void forward_reduce(layer l, network net)
{
    const struct reduce *k = l.dk->own;
    int maps = l.batch * l.out_c;
#pragma omp parallel for collapse(2) if ((size_t)l.batch * (size_t)l.inputs > DK_MANY)
    for (int m = 0; m < maps; m++) {
        for (int y = 0; y < l.out_h; y++) {
            const float *from = net.input + (size_t)(m / l.out_c) * l.inputs + (size_t)(m % l.out_c) * k->steps[0];
            float *to = l.output + ((size_t)m * l.out_h + (size_t)y) * l.out_w;
            for (int x = 0; x < l.out_w; x++) to[x] = reduce(k, from + (size_t)y * k->steps[1] + x);
        }
    }
}

/* totals[c] takes in[c]; the choice stands outside of the loops, so that gcc makes vectors of them. */
#define EACH(value) \
    for (int c = 0; c < count; c++) totals[c] = value; \
    break

static void add_all(enum reduction kind, double *restrict totals, const float *in, int count)
{
    switch (kind) {
    case MAX:
        EACH(add(MAX, totals[c], in[c]));
    case ASUM:
        EACH(add(ASUM, totals[c], in[c]));
    case SUMSQ:
        EACH(add(SUMSQ, totals[c], in[c]));
    default:
        EACH(totals[c] + in[c]);
    }
}

static const float *cell_at(const layer *l, const float *from, int y, int x)
{
    return from + ((size_t)y * (size_t)l->w + (size_t)x) * (size_t)l->c;
}

static void reduce_cells(const struct reduce *k, const layer *l, const float *from, float *to)
{
    for (int chunk = 0; chunk < dk_chunks(l->c); chunk++) {
        int first = chunk * DK_CHUNK, count = dk_chunk_count(l->c, chunk);
        double totals[DK_CHUNK];
        for (int c = 0; c < count; c++) totals[c] = start(k->kind);
        for (int y = 0; y < k->counts[1]; y++) {
            for (int x = 0; x < k->counts[2]; x++) add_all(k->kind, totals, cell_at(l, from, y, x) + first, count);
        }
        for (int c = 0; c < count; c++) to[first + c] = (float)(totals[c] / divisor(k));
    }
}

static float reduce_channels(const struct reduce *k, const layer *l, const float *from)
{
    enum { LANES = 16 };
    double lanes[LANES], total = start(k->kind);
    for (int i = 0; i < LANES; i++) lanes[i] = total;
    for (int y = 0; y < k->counts[1]; y++) {
        for (int x = 0; x < k->counts[2]; x++) {
            const float *cell = cell_at(l, from, y, x);
            for (int c = 0; c < l->c; c += LANES) {
                int left = l->c - c;
                add_all(k->kind, lanes, cell + c, left < LANES ? left : LANES);
            }
        }
    }
    for (int i = 0; i < LANES; i++) total = k->kind == MAX ? add(MAX, total, lanes[i]) : total + lanes[i];
    return (float)(total / divisor(k));
}

static void forward_reduce_last(layer l, network net)
{
    const struct reduce *k = l.dk->own;
    size_t steps[2] = {(size_t)l.w * (size_t)l.c, (size_t)l.c};
    int cells = l.out_h * l.out_w;
#pragma omp parallel for if (l.inputs > DK_MANY)
    for (int i = 0; i < cells; i++) {
        const float *from = net.input + (size_t)(i / l.out_w) * steps[0] + (size_t)(i % l.out_w) * steps[1];
        if (l.out_c == l.c) reduce_cells(k, &l, from, l.output + (size_t)i * (size_t)l.c);
        else l.output[i] = reduce_channels(k, &l, from);
    }
}

static void make_reduce(const struct dk_place *p, layer *l)
{
    static const char *const kinds[] = {"mean", "sum", "max", "asum", "sumsq"};
    const char *kind = dk_text(p->options, "kind");
    if (!kind) dk_fail(DK_BAD_CFG, "kind is missing");
    struct reduce *k = dk_own(l, sizeof *k);
    for (int i = 0; i <= SUMSQ; i++) {
        if (!strcmp(kinds[i], kind)) k->kind = (enum reduction)i;
    }
    int axes[3], out[3] = {l->c, l->h, l->w}, count = dk_axes(p->options, "axes", axes);
    const struct reduce one = {k->kind, {1, 1, 1}, {(size_t)l->h * (size_t)l->w, (size_t)l->w, 1}};
    *k = one;
    for (int i = 0; i < count; i++) {
        k->counts[axes[i]] = out[axes[i]];
        out[axes[i]] = 1;
    }
    dk_set_shape(l, out[0], out[1], out[2]);
    l->forward = forward_reduce;
    l->dk->forward_last = forward_reduce_last;
}

static const struct dk_key keys[] = {{"kind", ONE_OF("mean, sum, max, asum, sumsq")}, {"axes", TEXT}, END};
const struct dk_kind dk_kind_reduce = {"reduce", "", keys, NULL, make_reduce, NULL};
