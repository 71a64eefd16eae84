/* [avgpool] over windows. Without keys it is upstream's, over the whole map. */
#include <string.h>

#include "last.h"
#include "window.h"

struct average {
    struct dk_window window;
    int count_include_pad;
    double divisor; /* 0: the cells that count */
};

static double sum(const float *map, int width, struct dk_span rows, struct dk_span columns)
{
    double total = 0;
    for (int y = rows.first; y < rows.end; y++) {
        for (int x = columns.first; x < columns.end; x++) total += map[(size_t)y * (size_t)width + (size_t)x];
    }
    return total;
}

/* Cells of window `i` that the sum is divided by: with padding, but never with the overhang behind it. */
static double counted(const struct average *k, struct dk_axis axis, int i, int cells)
{
    if (k->count_include_pad) {
        long first = (long)i * axis.stride, end = first + axis.size, most = (long)axis.before + cells + axis.after;
        return (double)((end > most ? most : end) - first);
    }
    struct dk_span span = dk_span_of(axis, i, cells);
    return span.end - span.first;
}

static double divisor(const struct average *k, const layer *l, int i, int j)
{
    if (k->divisor) return k->divisor;
    return counted(k, k->window.y, i, l->h) * counted(k, k->window.x, j, l->w);
}

static void forward_avgpool(layer l, network net)
{
    const struct average *k = l.dk->own;
    const struct dk_window *window = &k->window;
    int maps = l.batch * l.c;
#pragma omp parallel for
    for (int m = 0; m < maps; m++) {
        const float *map = net.input + (size_t)m * l.h * l.w;
        float *out = l.output + (size_t)m * l.out_h * l.out_w;
        for (int i = 0; i < l.out_h; i++) {
            struct dk_span rows = dk_span_of(window->y, i, l.h);
            for (int j = 0; j < l.out_w; j++) {
                double total = sum(map, l.w, rows, dk_span_of(window->x, j, l.w));
                *out++ = (float)(total / divisor(k, &l, i, j));
            }
        }
    }
}

/* The sums of `count` channels, which begin at `map`. */
static void sum_last(const layer *l, const float *map, struct dk_span rows, struct dk_span columns, int count,
                     double *restrict totals)
{
    memset(totals, 0, (size_t)count * sizeof *totals);
    for (int y = rows.first; y < rows.end; y++) {
        for (int x = columns.first; x < columns.end; x++) {
            const float *cell = map + ((size_t)y * (size_t)l->w + (size_t)x) * (size_t)l->c;
            for (int c = 0; c < count; c++) totals[c] += cell[c];
        }
    }
}

static void forward_avgpool_last(layer l, network net)
{
    const struct average *k = l.dk->own;
    int windows = l.out_h * l.out_w, chunks = dk_chunks(l.c);
#pragma omp parallel for collapse(2) if (l.inputs > DK_MANY)
    for (int i = 0; i < windows; i++) {
        for (int chunk = 0; chunk < chunks; chunk++) {
            struct dk_span rows = dk_span_of(k->window.y, i / l.out_w, l.h);
            struct dk_span columns = dk_span_of(k->window.x, i % l.out_w, l.w);
            int first = chunk * DK_CHUNK, count = dk_chunk_count(l.c, chunk);
            float *out = l.output + (size_t)i * (size_t)l.c + first;
            double totals[DK_CHUNK], by = divisor(k, &l, i / l.out_w, i % l.out_w);
            sum_last(&l, net.input + first, rows, columns, count, totals);
            for (int c = 0; c < count; c++) out[c] = (float)(totals[c] / by);
        }
    }
}

/* One window for both axes: `size` every `stride` (1) cells, `padding` on each side. */
static struct dk_window square_window(list *options)
{
    static const char *const others[] = {"stride_h", "stride_w", "padding_h", "padding_w", "padding_top",
                                         "padding_left", "padding_bottom", "padding_right", "stride_y", "stride_x"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (dk_has(options, others[i])) dk_fail(DK_BAD_CFG, "%s needs size_h and size_w", others[i]);
    }
    if (!dk_has(options, "size")) dk_fail(DK_BAD_CFG, "needs size, or size_h and size_w");
    int padding = dk_int(options, "padding", 0);
    struct dk_axis axis = {dk_int(options, "size", 1), dk_int(options, "stride", 1), padding, padding};
    return (struct dk_window){axis, axis};
}

static void make_avgpool(const struct dk_place *p, layer *l)
{
    dk_need_image(p);
    struct average *k = dk_own(l, sizeof *k);
    int rectangular = dk_has(p->options, "size_h") || dk_has(p->options, "size_w");
    k->window = rectangular ? dk_read_window(p->options) : square_window(p->options);
    k->count_include_pad = dk_int(p->options, "count_include_pad", 1);
    k->divisor = dk_int(p->options, "divisor", 0);
    int out_h = dk_count_windows("height", k->window.y, l->h, dk_int(p->options, "overhang_h", 0));
    int out_w = dk_count_windows("width", k->window.x, l->w, dk_int(p->options, "overhang_w", 0));
    dk_set_shape(l, l->c, out_h, out_w);
    l->forward = forward_avgpool;
    l->dk->forward_last = forward_avgpool_last;
}

static const struct dk_key keys[] = {
    WINDOW_KEYS, {"overhang_h", CELLS}, {"overhang_w", CELLS}, {"count_include_pad", SWITCH}, {"divisor", COUNT}, END,
};

static int has_window(list *options)
{
    for (const struct dk_key *key = keys; key->name; key++) {
        if (dk_has(options, key->name)) return 1;
    }
    return 0;
}

static void check_avgpool(const struct dk_place *p)
{
    dk_need_image(p);
}

const struct dk_kind dk_kind_avgpool = {"avgpool", "avg", keys, check_avgpool, make_avgpool, has_window};
