#include "layers.h"

#include <string.h>

void *dk_own(layer *l, size_t size)
{
    return l->dk->own = dk_calloc(1, size);
}

void dk_set_shape(layer *l, int c, int h, int w)
{
    l->out_c = c;
    l->out_h = h;
    l->out_w = w;
}

dk_shape dk_shape_of(const network *net, int index)
{
    if (index < 0) return net->c ? (dk_shape){net->c, net->h, net->w} : (dk_shape){net->inputs, 1, 1};
    const layer *l = &net->layers[index];
    return l->out_c ? (dk_shape){l->out_c, l->out_h, l->out_w} : (dk_shape){l->outputs, 1, 1};
}

double dk_real(list *options, const char *key, double otherwise)
{
    double value = otherwise;
    const char *text = dk_text(options, key);
    if (text) dk_number(text, &value);
    return value;
}

float *dk_add_weights(layer *l, double count, int loaded, float value)
{
    dk_check_size("weights", count, 1, 1, 1, 1);
    float *values = dk_calloc((size_t)count, sizeof *values);
    for (int i = 0; value != 0 && i < (int)count; i++) values[i] = value;
    l->dk->weights[l->dk->weight_count++] = (struct dk_values){values, (int)count, loaded};
    return values;
}

int dk_add_from(const struct dk_place *p, layer *l)
{
    const char *text = dk_text(p->options, "from");
    if (!text) dk_fail(DK_BAD_CFG, "from is missing");
    int index = dk_layer_index(p, "from", text);
    dk_add_source(l, index);
    return index;
}

void dk_add_source(layer *l, int index)
{
    size_t count = (size_t)l->dk->source_count + 1;
    l->dk->sources = dk_realloc(l->dk->sources, count * sizeof(int));
    l->dk->sources[l->dk->source_count++] = index;
}

const float *dk_source(const layer *l, int number)
{
    int index = l->dk->sources[number];
    return index < 0 ? l->dk->net->input : l->dk->net->layers[index].output;
}

int dk_axes(list *options, const char *key, int axes[3])
{
    static const char letters[] = "chw";
    const char *text = dk_text(options, key);
    if (!text) dk_fail(DK_BAD_CFG, "%s is missing", key);
    int count = 0, seen = 0;
    for (const char *letter = text;; letter += 2) {
        const char *place = *letter ? strchr(letters, *letter) : NULL;
        if (!place || (letter[1] && letter[1] != ',')) {
            dk_fail(DK_BAD_CFG, "%s must be c, h or w with commas between, got '%.40s'", key, text);
        }
        int axis = (int)(place - letters);
        if (seen & 1 << axis) dk_fail(DK_BAD_CFG, "%s=%.40s names %c twice", key, text, *letter);
        seen |= 1 << axis;
        axes[count++] = axis;
        if (!letter[1]) return count;
    }
}

int dk_axis(list *options, const char *key)
{
    int axes[3], count = dk_axes(options, key, axes);
    if (count != 1) dk_fail(DK_BAD_CFG, "%s must be one axis, got '%.40s'", key, dk_text(options, key));
    return axes[0];
}

struct dk_run dk_run_of(dk_shape shape, int first, int last)
{
    int sizes[3] = {shape.c, shape.h, shape.w};
    struct dk_run run = {1, 1, 1};
    for (int axis = 0; axis < 3; axis++) {
        *(axis < first ? &run.outer : axis > last ? &run.inner : &run.length) *= (size_t)sizes[axis];
    }
    return run;
}
