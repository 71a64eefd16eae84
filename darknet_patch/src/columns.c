#include "columns.h"

#include <string.h>

int dk_per_axis(list *options, const char *key, char axis, int otherwise)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%c", key, axis);
    return dk_int(options, name, dk_int(options, key, otherwise));
}

int dk_stride(list *options, char axis)
{
    int stride = dk_int(options, axis == 'h' ? "stride_y" : "stride_x", dk_int(options, "stride", 1));
    return dk_int(options, axis == 'h' ? "stride_h" : "stride_w", stride);
}

static struct dk_slide read_slide(list *options, char axis)
{
    struct dk_slide slide = {0};
    slide.size = dk_per_axis(options, "size", axis, 1);
    slide.stride = dk_stride(options, axis);
    slide.dilation = dk_per_axis(options, "dilation", axis, 1);
    int half = dk_int(options, "pad", 0) && !dk_has(options, axis == 'h' ? "padding_h" : "padding_w");
    slide.padding = half ? slide.size / 2 : dk_per_axis(options, "padding", axis, 0);
    return slide;
}

struct dk_filters dk_read_filters(const struct dk_place *p)
{
    struct dk_filters filters = {read_slide(p->options, 'h'), read_slide(p->options, 'w'), 0, 0};
    filters.count = dk_int(p->options, "filters", 1);
    filters.groups = dk_int(p->options, "groups", 1);
    if (p->shape.c % filters.groups) {
        dk_fail(DK_BAD_CFG, "groups=%d does not divide the %d input channels", filters.groups, p->shape.c);
    }
    if (filters.count % filters.groups) {
        dk_fail(DK_BAD_CFG, "groups=%d does not divide filters=%d", filters.groups, filters.count);
    }
    return filters;
}

int dk_has_filter_keys(list *options)
{
    static const char *const keys[] = {"size_h", "size_w", "stride_h", "stride_w", "padding_h", "padding_w", "dilation",
                                       "dilation_h", "dilation_w", "output_padding", "output_padding_h",
                                       "output_padding_w", "stride_y", "stride_x"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (dk_has(options, keys[i])) return 1;
    }
    return 0;
}

int dk_reach(const struct dk_slide *slide)
{
    dk_check_size("filter", slide->size, slide->dilation, 1, 1, 1);
    return (slide->size - 1) * slide->dilation + 1;
}

static int is_plain(const struct dk_slide *slide)
{
    return slide->size == 1 && slide->stride == 1 && slide->padding == 0 && slide->cells == slide->count;
}

int dk_is_pointwise(const struct dk_filters *filters)
{
    return is_plain(&filters->y) && is_plain(&filters->x);
}

/* The positions whose tap at `offset` sees a cell, offset being that of position 0. */
static struct range {
    int first, end;
} seeing(const struct dk_slide *slide, int offset)
{
    long stride = slide->stride, room = (long)slide->cells - offset;
    long first = offset < 0 ? (-(long)offset + stride - 1) / stride : 0;
    long end = room <= 0 ? 0 : (room - 1) / stride + 1;
    if (first > slide->count) first = slide->count;
    if (end > slide->count) end = slide->count;
    return (struct range){(int)first, (int)(end < first ? first : end)};
}

/* One row of the matrix is one tap of one channel. */
struct tap {
    size_t map; /* where the channel begins */
    int offset_y, offset_x;
    struct range y, x;
};

static struct tap tap_of(const struct dk_filters *f, int row)
{
    int taps = f->y.size * f->x.size, channel = row / taps, tap = row % taps;
    struct tap found = {.map = (size_t)channel * (size_t)f->y.cells * (size_t)f->x.cells};
    found.offset_y = tap / f->x.size * f->y.dilation - f->y.padding;
    found.offset_x = tap % f->x.size * f->x.dilation - f->x.padding;
    found.y = seeing(&f->y, found.offset_y);
    found.x = seeing(&f->x, found.offset_x);
    return found;
}

static size_t cell_of(const struct dk_filters *f, const struct tap *tap, int i)
{
    return tap->map + (size_t)(i * f->y.stride + tap->offset_y) * (size_t)f->x.cells;
}

void dk_to_columns(const float *map, int channels, const struct dk_filters *f, float *columns)
{
    int rows = channels * f->y.size * f->x.size;
    size_t positions = (size_t)f->y.count * (size_t)f->x.count;
#pragma omp parallel for if (rows * positions > DK_MANY)
    for (int row = 0; row < rows; row++) {
        struct tap tap = tap_of(f, row);
        float *to = columns + (size_t)row * positions;
        for (int i = 0; i < f->y.count; i++, to += f->x.count) {
            memset(to, 0, (size_t)f->x.count * sizeof *to);
            if (i < tap.y.first || i >= tap.y.end) continue;
            const float *line = map + cell_of(f, &tap, i);
            for (int j = tap.x.first; j < tap.x.end; j++) to[j] = line[j * f->x.stride + tap.offset_x];
        }
    }
}

void dk_add_columns(const float *columns, int channels, const struct dk_filters *f, float *map)
{
    int taps = f->y.size * f->x.size;
    size_t positions = (size_t)f->y.count * (size_t)f->x.count;
    /* A thread has whole channels: the taps of one channel add to the same cells. */
#pragma omp parallel for if (channels * taps * positions > DK_MANY)
    for (int channel = 0; channel < channels; channel++) {
        for (int row = channel * taps; row < (channel + 1) * taps; row++) {
            struct tap tap = tap_of(f, row);
            for (int i = tap.y.first; i < tap.y.end; i++) {
                const float *from = columns + (size_t)row * positions + (size_t)i * (size_t)f->x.count;
                float *line = map + cell_of(f, &tap, i);
                for (int j = tap.x.first; j < tap.x.end; j++) line[j * f->x.stride + tap.offset_x] += from[j];
            }
        }
    }
}
