/* [maxpool] with a window, stride and padding of its own on each axis; stock keys mean what they always did. */
#include <math.h>

#include "cfg.h"
#include "context.h"
#include "hooks.h"
#include "shapes.h"

struct axis {
    int size, stride, before, after; /* padding before the first and after the last cell */
};

/* Cells of padding take no part, so they never win; a NaN in the window does, as in PyTorch. */
static float largest(const float *map, int stride, int y0, int y1, int x0, int x1)
{
    float most = -INFINITY;
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            float value = map[(size_t)y * stride + x];
            if (value > most || value != value) most = value;
            if (most != most) return most;
        }
    }
    return most;
}

static int clip(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

static void forward_window(layer l, network net)
{
    const struct dk_layer *k = l.dk;
    int maps = l.batch * l.c;
#pragma omp parallel for
    for (int m = 0; m < maps; m++) {
        const float *map = net.input + (size_t)m * l.h * l.w;
        float *out = l.output + (size_t)m * l.out_h * l.out_w;
        for (int i = 0; i < l.out_h; i++) {
            int y = i * k->stride_h - k->pad_top;
            for (int j = 0; j < l.out_w; j++) {
                int x = j * k->stride_w - k->pad_left;
                *out++ = largest(map, l.w, clip(y, 0, l.h), clip(y + k->size_h, 0, l.h), clip(x, 0, l.w),
                                 clip(x + k->size_w, 0, l.w));
            }
        }
    }
}

/* Stock: `padding` is the sum of both sides, the smaller half before. */
static void stock_window(list *options, struct axis *y, struct axis *x)
{
    static const char *const ours[] = {"stride_h", "stride_w", "padding_h", "padding_w", "padding_bottom",
                                       "padding_right"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (dk_has(options, ours[i])) dk_fail(DK_BAD_CFG, "%s needs size_h and size_w", ours[i]);
    }
    int stride = dk_int(options, "stride", 1), size = dk_int(options, "size", stride);
    int padding = dk_int(options, "padding", size - 1);
    *y = *x = (struct axis){size, stride, padding / 2, padding - padding / 2};
}

static void rectangular_window(list *options, struct axis *y, struct axis *x)
{
    if (dk_has(options, "size") || dk_has(options, "stride")) {
        dk_fail(DK_BAD_CFG, "size and stride exclude size_h and size_w");
    }
    if (!dk_has(options, "size_h") || !dk_has(options, "size_w")) {
        dk_fail(DK_BAD_CFG, "needs both size_h and size_w");
    }
    int padding = dk_int(options, "padding", 0);
    y->size = dk_int(options, "size_h", 1);
    x->size = dk_int(options, "size_w", 1);
    y->stride = dk_int(options, "stride_h", 1);
    x->stride = dk_int(options, "stride_w", 1);
    y->before = dk_int(options, "padding_h", padding);
    x->before = dk_int(options, "padding_w", padding);
    y->after = dk_int(options, "padding_bottom", y->before);
    x->after = dk_int(options, "padding_right", x->before);
}

/* Number of windows; each must hold a cell of the map. */
static int count_windows(const char *name, struct axis axis, int cells)
{
    int count = dk_window_count(name, axis.size, axis.stride, cells, (long)axis.before + axis.after);
    long last = (long)(count - 1) * axis.stride - axis.before;
    if (axis.before >= axis.size || last >= cells) {
        dk_fail(DK_BAD_CFG, "padding of %d and %d puts a window of %d wholly outside the %s of %d", axis.before,
                axis.after, axis.size, name, cells);
    }
    return count;
}

layer dk_parse_maxpool(list *options, int batch, int c, int h, int w)
{
    struct axis y, x;
    if (dk_has(options, "size_h") || dk_has(options, "size_w")) rectangular_window(options, &y, &x);
    else stock_window(options, &y, &x);
    layer l = {0};
    l.type = MAXPOOL;
    l.batch = batch;
    l.c = l.out_c = c;
    l.h = h;
    l.w = w;
    l.inputs = c * h * w;
    l.out_h = count_windows("height", y, h);
    l.out_w = count_windows("width", x, w);
    dk_check_size("output", batch, c, l.out_h, l.out_w, 1);
    l.outputs = l.out_c * l.out_h * l.out_w;
    l.output = dk_calloc((size_t)batch * l.outputs, sizeof(float));
    l.forward = forward_window;
    l.dk = dk_calloc(1, sizeof *l.dk);
    l.dk->size_h = y.size;
    l.dk->size_w = x.size;
    l.dk->stride_h = y.stride;
    l.dk->stride_w = x.stride;
    l.dk->pad_top = y.before;
    l.dk->pad_left = x.before;
    return l;
}
