#include "window.h"

#include "columns.h"

struct dk_window dk_read_window(list *options)
{
    if (dk_has(options, "size") || dk_has(options, "stride")) {
        dk_fail(DK_BAD_CFG, "size and stride exclude size_h and size_w");
    }
    if (!dk_has(options, "size_h") || !dk_has(options, "size_w")) {
        dk_fail(DK_BAD_CFG, "needs both size_h and size_w");
    }
    int padding = dk_int(options, "padding", 0);
    int padding_h = dk_int(options, "padding_h", padding), padding_w = dk_int(options, "padding_w", padding);
    return (struct dk_window){
        .y = {dk_int(options, "size_h", 1), dk_stride(options, 'h'), dk_int(options, "padding_top", padding_h),
              dk_int(options, "padding_bottom", padding_h)},
        .x = {dk_int(options, "size_w", 1), dk_stride(options, 'w'), dk_int(options, "padding_left", padding_w),
              dk_int(options, "padding_right", padding_w)},
    };
}

int dk_count_windows(const char *name, struct dk_axis axis, int cells, int overhang)
{
    int count = dk_window_count(name, axis.size, axis.stride, cells, (long)axis.before + axis.after + overhang);
    long last = (long)(count - 1) * axis.stride - axis.before;
    if (axis.before >= axis.size || last >= cells) {
        dk_fail(DK_BAD_CFG, "padding of %d and %d puts a window of %d wholly outside the %s of %d", axis.before,
                axis.after, axis.size, name, cells);
    }
    return count;
}

struct dk_span dk_span_of(struct dk_axis axis, int i, int cells)
{
    long first = (long)i * axis.stride - axis.before, end = first + axis.size;
    return (struct dk_span){first < 0 ? 0 : (int)first, end > cells ? cells : (int)end};
}
