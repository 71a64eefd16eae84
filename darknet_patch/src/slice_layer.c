/* [slice]: a part of the map along channels, height or width. */
#include <string.h>

#include "cfg.h"
#include "context.h"
#include "hooks.h"

enum { CHANNELS, HEIGHT, WIDTH };

static void forward_slice(layer l, network net)
{
    size_t row = (size_t)l.out_w * sizeof(float);
    int from[3] = {0, 0, 0};
    from[l.dk->axis] = l.dk->begin;
    float *out = l.output;
    for (int b = 0; b < l.batch; b++) {
        for (int c = 0; c < l.out_c; c++) {
            for (int y = 0; y < l.out_h; y++) {
                size_t line = ((size_t)b * l.c + from[CHANNELS] + c) * l.h + from[HEIGHT] + y;
                memcpy(out, net.input + line * l.w + from[WIDTH], row);
                out += l.out_w;
            }
        }
    }
}

/* Part `slice_pos` of slice_num + 1 equal ones. */
static void equal_part(list *options, int length, int *begin, int *end)
{
    int parts = dk_int(options, "slice_num", 0), part = dk_int(options, "slice_pos", 0);
    if (!dk_has(options, "slice_num") || !dk_has(options, "slice_pos")) {
        dk_fail(DK_BAD_CFG, "needs slice_num and slice_pos, or slice_begin or slice_end");
    }
    if (parts >= length || length % (parts + 1)) {
        dk_fail(DK_BAD_CFG, "slice_num=%d does not cut %d cells into equal parts", parts, length);
    }
    parts++;
    if (part >= parts) dk_fail(DK_BAD_CFG, "slice_pos=%d, but the parts are 0 to %d", part, parts - 1);
    *begin = part * (length / parts);
    *end = *begin + length / parts;
}

/* From slice_begin up to but not with slice_end; negative counts from the end. */
static void given_part(list *options, int length, int *begin, int *end)
{
    if (dk_has(options, "slice_num") || dk_has(options, "slice_pos")) {
        dk_fail(DK_BAD_CFG, "slice_num, slice_pos and slice_begin, slice_end exclude each other");
    }
    int first = dk_int(options, "slice_begin", 0), last = dk_int(options, "slice_end", length);
    *begin = first < 0 ? length + first : first;
    *end = last < 0 ? length + last : last;
    if (*begin < 0 || *begin >= *end || *end > length) {
        dk_fail(DK_BAD_CFG, "slice_begin=%d, slice_end=%d is no part of %d cells", first, last, length);
    }
}

layer dk_parse_slice(list *options, int batch, int c, int h, int w)
{
    static const int axes[] = {CHANNELS, WIDTH, HEIGHT, CHANNELS}; /* of slice_axis 0 to 3 */
    if (!dk_has(options, "slice_axis")) dk_fail(DK_BAD_CFG, "slice_axis is missing");
    int axis = axes[dk_int(options, "slice_axis", 0)];
    int shape[3] = {c, h, w}, begin, end;
    if (dk_has(options, "slice_begin") || dk_has(options, "slice_end")) {
        given_part(options, shape[axis], &begin, &end);
    } else {
        equal_part(options, shape[axis], &begin, &end);
    }
    shape[axis] = end - begin;
    layer l = {0};
    l.type = SLICE;
    l.batch = batch;
    l.c = c;
    l.h = h;
    l.w = w;
    l.inputs = c * h * w;
    l.out_c = shape[CHANNELS];
    l.out_h = shape[HEIGHT];
    l.out_w = shape[WIDTH];
    l.outputs = l.out_c * l.out_h * l.out_w;
    l.output = dk_calloc((size_t)batch * l.outputs, sizeof(float));
    l.forward = forward_slice;
    l.dk = dk_calloc(1, sizeof *l.dk);
    l.dk->axis = axis;
    l.dk->begin = begin;
    return l;
}
