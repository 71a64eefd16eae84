/* [maxpool] with a window, stride and padding of its own on each axis; stock keys mean what they always did. */
#include <string.h>

#include "columns.h"
#include "last.h"
#include "maxpool.h"

/* Cells of padding take no part, so they never win; a NaN in the window does, as in PyTorch. */
size_t dk_largest(const float *map, int width, struct dk_span rows, struct dk_span columns)
{
    size_t place = (size_t)rows.first * (size_t)width + (size_t)columns.first;
    float most = map[place];
    for (int y = rows.first; y < rows.end; y++) {
        for (int x = columns.first; x < columns.end; x++) {
            size_t here = (size_t)y * (size_t)width + (size_t)x;
            if (most != most) return place;
            if (map[here] > most || map[here] != map[here]) most = map[place = here];
        }
    }
    return place;
}

static void forward_maxpool(layer l, network net)
{
    const struct dk_window *k = l.dk->own;
    int maps = l.batch * l.c;
#pragma omp parallel for
    for (int m = 0; m < maps; m++) {
        const float *map = net.input + (size_t)m * l.h * l.w;
        float *out = l.output + (size_t)m * l.out_h * l.out_w;
        for (int i = 0; i < l.out_h; i++) {
            struct dk_span rows = dk_span_of(k->y, i, l.h);
            for (int j = 0; j < l.out_w; j++) *out++ = map[dk_largest(map, l.w, rows, dk_span_of(k->x, j, l.w))];
        }
    }
}

/* dk_largest of `count` channels at a time; `map` begins at the first of them. */
static void largest_last(const layer *l, const float *map, struct dk_span rows, struct dk_span columns, int count,
                         float *restrict most)
{
    for (int y = rows.first; y < rows.end; y++) {
        for (int x = columns.first; x < columns.end; x++) {
            const float *cell = map + ((size_t)y * (size_t)l->w + (size_t)x) * (size_t)l->c;
            if (y == rows.first && x == columns.first) memcpy(most, cell, (size_t)count * sizeof *most);
            for (int c = 0; c < count; c++) most[c] = cell[c] > most[c] || cell[c] != cell[c] ? cell[c] : most[c];
        }
    }
}

static void forward_maxpool_last(layer l, network net)
{
    const struct dk_window *k = l.dk->own;
    int windows = l.out_h * l.out_w, chunks = dk_chunks(l.c);
#pragma omp parallel for collapse(2) if (l.inputs > DK_MANY)
    for (int i = 0; i < windows; i++) {
        for (int chunk = 0; chunk < chunks; chunk++) {
            struct dk_span rows = dk_span_of(k->y, i / l.out_w, l.h), columns = dk_span_of(k->x, i % l.out_w, l.w);
            int first = chunk * DK_CHUNK, count = dk_chunk_count(l.c, chunk);
            largest_last(&l, net.input + first, rows, columns, count, l.output + (size_t)i * (size_t)l.c + first);
        }
    }
}

/* Stock: `padding` is the sum of both sides, the smaller half before. */
static struct dk_window stock_window(list *options)
{
    static const char *const ours[] = {"stride_h", "stride_w", "padding_h", "padding_w", "padding_top",
                                       "padding_left", "padding_bottom", "padding_right"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (dk_has(options, ours[i])) dk_fail(DK_BAD_CFG, "%s needs size_h and size_w", ours[i]);
    }
    int stride = dk_int(options, "stride", 1), size = dk_int(options, "size", stride);
    int padding = dk_int(options, "padding", size - 1);
    struct dk_axis y = {size, dk_stride(options, 'h'), padding / 2, padding - padding / 2}, x = y;
    x.stride = dk_stride(options, 'w');
    return (struct dk_window){y, x};
}

/* Upstream divides a negative number toward 0: a window larger than the map by less than a stride counts. */
static int missing(struct dk_axis axis, int cells)
{
    long cut = axis.size - ((long)cells + axis.before + axis.after);
    return cut > 0 && cut < axis.stride ? (int)cut : 0;
}

static void make_maxpool(const struct dk_place *p, layer *l)
{
    dk_need_image(p);
    struct dk_window *k = dk_own(l, sizeof *k);
    int rectangular = dk_has(p->options, "size_h") || dk_has(p->options, "size_w");
    *k = rectangular ? dk_read_window(p->options) : stock_window(p->options);
    int out_h = dk_count_windows("height", k->y, l->h, rectangular ? 0 : missing(k->y, l->h));
    int out_w = dk_count_windows("width", k->x, l->w, rectangular ? 0 : missing(k->x, l->w));
    dk_set_shape(l, l->c, out_h, out_w);
    l->forward = forward_maxpool;
    l->dk->forward_last = forward_maxpool_last;
}

static const struct dk_key keys[] = {WINDOW_KEYS, END};
const struct dk_kind dk_kind_maxpool = {"maxpool", "max", keys, NULL, make_maxpool, NULL};
