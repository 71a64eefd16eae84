#include "shapes.h"

#include <limits.h>
#include <string.h>

#include "context.h"

int dk_max_batch(void)
{
    return dk_current()->max_batch;
}

void dk_check_size(const char *what, double a, double b, double c, double d, double e)
{
    double values = a * b * c * d * e;
    if (values > INT_MAX) dk_fail(DK_BAD_CFG, "%s would take %.3g values, the limit is %d", what, values, INT_MAX);
}

void dk_need_image(const struct dk_place *p)
{
    if (!p->c || !p->h || !p->w) {
        dk_fail(DK_BAD_CFG, "needs channels, height and width, but gets a flat vector of %d values", p->inputs);
    }
}

int dk_window_count(const char *axis, int size, int stride, int cells, long padding)
{
    long room = cells + padding;
    if (size > room) {
        dk_fail(DK_BAD_CFG, "a window of %d does not fit into the %s of %d with %ld cells of padding", size, axis,
                cells, padding);
    }
    long count = (room - size) / stride + 1;
    if (count > INT_MAX) dk_fail(DK_BAD_CFG, "an output of %ld cells, the limit is %d", count, INT_MAX);
    return (int)count;
}

int dk_layer_index(const struct dk_place *p, const char *key, const char *text)
{
    int layer;
    if (!dk_whole(text, &layer)) dk_fail(DK_BAD_CFG, "%s must be whole numbers, got '%.40s'", key, text);
    int absolute = layer < 0 ? p->index + layer : layer;
    if (!p->index) dk_fail(DK_BAD_CFG, "%s=%.40s: no layer stands before this one", key, text);
    if (absolute < 0 || absolute >= p->index) {
        dk_fail(DK_BAD_CFG, "%s=%.40s: only the layers 0 to %d stand before this one", key, text, p->index - 1);
    }
    return absolute;
}

void dk_layer_list(const struct dk_place *p, const char *key, void (*each)(void *, int), void *argument)
{
    const char *text = dk_text(p->options, key);
    if (!text) dk_fail(DK_BAD_CFG, "%s is missing", key);
    for (const char *from = text; from;) {
        char number[24] = "";
        size_t length = strcspn(from, ",");
        memcpy(number, from, length < sizeof number ? length : sizeof number - 1);
        each(argument, dk_layer_index(p, key, number));
        from = from[length] ? from + length + 1 : NULL;
    }
}
