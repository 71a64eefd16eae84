/* Runs networks, rightly and wrongly. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

size_t count_of(const dk_net *net, int layer, int batch)
{
    dk_shape shape = {0, 0, 0};
    must(dk_layer_shape(net, layer, &shape) == DK_OK, "a layer has a shape");
    must(shape.c > 0 && shape.h > 0 && shape.w > 0, "sizes are positive");
    return (size_t)batch * (size_t)shape.c * (size_t)shape.h * (size_t)shape.w;
}

float *output_of(dk_net *net, int layer, int batch)
{
    size_t count = count_of(net, layer, batch);
    float *values = malloc(count * sizeof *values);
    must(values != NULL, "there is memory for an output");
    must(dk_output(net, layer, values, count) == DK_OK, "a kept layer's output can be read");
    return values;
}

/* As `images` bytes in the order H, W, C, read upwards with the channels swapped when the seed is odd. */
static void put_images(const struct wishes *w, dk_net *net, int batch)
{
    dk_shape s;
    uint32_t seed = w->seed;
    must(dk_layer_shape(net, -1, &s) == DK_OK, "the input has a shape");
    size_t count = count_of(net, -1, 1);
    unsigned char *bytes = malloc(count);
    double *stds = malloc((size_t)s.c * sizeof *stds);
    for (int c = 0; c < s.c; c++) stds[c] = 0.5 + c;
    for (int item = 0; item < batch; item++) {
        for (size_t i = 0; i < count; i++) bytes[i] = (unsigned char)(128 + 127 * draw(&seed, 0));
        ptrdiff_t row = (ptrdiff_t)s.w * s.c;
        dk_image image = {bytes, s.h, s.w, s.c, row, s.c, 1, w->seed % 2, 1 / 255., NULL, stds};
        if (w->seed % 2) {
            image.data += row * (s.h - 1);
            image.stride_y = -row;
        }
        must(dk_put_image(net, item, &image) == DK_OK, "an image of the right size goes in");
    }
    free(stds);
    free(bytes);
}

int run(const struct wishes *w, dk_net *net, int batch)
{
    uint32_t seed = w->seed;
    int status;
    if (w->images) {
        put_images(w, net, batch);
        status = dk_predict(net, NULL, batch);
    } else {
        size_t count = count_of(net, -1, batch);
        float *values = malloc(count * sizeof *values);
        for (size_t i = 0; i < count; i++) values[i] = draw(&seed, w->special_input);
        status = dk_predict(net, values, batch);
        free(values);
    }
    must(status == DK_OK || status == DK_NO_MEMORY, "a loaded network runs");
    must((status == DK_OK) == (dk_message(net)[0] == '\0'), "errors and only errors have words");
    return status == DK_OK;
}

void call_badly(const struct wishes *w, dk_net *net)
{
    float value = 0;
    dk_shape shape;
    dk_image image = {(const unsigned char *)"", 0, 0, 0, 0, 0, 0, 0, 1, NULL, NULL};
    int beyond = dk_layer_count(net), far[] = {beyond};
    must(dk_predict(net, &value, 0) == DK_BAD_CALL, "no image is refused");
    must(dk_predict(net, &value, w->batch + 1) == DK_BAD_CALL, "too many images are refused");
    must(dk_put_image(net, 0, &image) == DK_BAD_CALL, "an image of another size is refused");
    must(dk_output(net, beyond, &value, 1) == DK_BAD_CALL, "the output of no layer is refused");
    must(dk_output(net, beyond - 1, &value, SIZE_MAX) == DK_BAD_CALL, "a wrong count is refused");
    must(dk_set_output(net, INT_MIN, &value, 1) == DK_BAD_CALL, "values for no layer are refused");
    must(dk_forward_layer(net, -1, 1) == DK_BAD_CALL, "the input cannot run");
    must(dk_forward_layer(net, 0, INT_MIN) == DK_BAD_CALL, "a negative batch is refused");
    must(dk_topk_margins(net, beyond, &value, 1) == DK_BAD_CALL, "margins of no layer are refused");
    must(dk_keep(net, far, 1) == DK_BAD_CALL, "keeping no layer is refused");
    must(dk_message(net)[0] != '\0', "errors have words");
    must(dk_layer_shape(net, beyond, &shape) == DK_BAD_CALL, "the shape of no layer is refused");
    must(dk_layer_sources(net, -1, NULL, 0) == -1 && !dk_layer_name(net, -2) && !dk_layer_type(net, beyond),
         "no layer has no name, type or sources");
}
