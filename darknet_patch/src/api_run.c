/* The functions of dk.h that run networks and layers. */
#include <string.h>

#include "net.h"
#include "topk.h"

static void check_layer(const dk_net *net, int index)
{
    int count = net->net->n;
    if (index < -1 || index >= count) dk_fail(DK_BAD_CALL, "layer %d: the layers are -1 to %d", index, count - 1);
}

static void set_batch(dk_net *net, int batch)
{
    int most = net->max_batch;
    if (batch < 1 || batch > most) dk_fail(DK_BAD_CALL, "batch %d: the network was loaded for 1 to %d", batch, most);
    net->batch = batch;
    if (!net->prepared) set_batch_network(net->net, batch);
}

/* The buffer that holds a layer's output, or the network's input, for all images; NULL when it is not kept. */
static float *buffer(const dk_net *net, int index, size_t *count)
{
    const network *n = net->net;
    *count = (size_t)net->batch * (size_t)(index < 0 ? n->inputs : n->layers[index].outputs);
    if (net->prepared) return dk_kept_output(net->prepared, index);
    return index < 0 ? n->input : n->layers[index].output;
}

struct call {
    dk_net *net;
    const float *from;
    float *to;
    const dk_image *image;
    size_t count;
    int layer, batch;
    const int *layers;
};

static void predict(void *argument)
{
    struct call *call = argument;
    set_batch(call->net, call->batch);
    size_t count;
    float *input = buffer(call->net, -1, &count);
    if (call->from) memcpy(input, call->from, count * sizeof *input);
    if (call->net->prepared) dk_run_prepared(call->net->prepared, call->batch);
    else network_predict(call->net->net, input);
}

int dk_predict(dk_net *net, const float *input, int batch)
{
    struct call call = {.net = net, .from = input, .batch = batch};
    return dk_call(net, predict, &call);
}

static void output(void *argument)
{
    struct call *call = argument;
    size_t count;
    check_layer(call->net, call->layer);
    const float *from = buffer(call->net, call->layer, &count);
    if (!from) dk_fail(DK_BAD_CALL, "the last run did not keep layer %d: dk_keep it before", call->layer);
    if (count != call->count) {
        dk_fail(DK_BAD_CALL, "layer %d gives %zu values, not %zu", call->layer, count, call->count);
    }
    memcpy(call->to, from, count * sizeof *from);
}

int dk_output(dk_net *net, int layer, float *values, size_t count)
{
    struct call call = {.net = net, .to = values, .layer = layer, .count = count};
    return dk_call(net, output, &call);
}

static void keep(void *argument)
{
    struct call *call = argument;
    for (size_t i = 0; i < call->count; i++) {
        check_layer(call->net, call->layers[i]);
        if (call->net->prepared) dk_keep_output(call->net->prepared, call->layers[i]);
    }
}

int dk_keep(dk_net *net, const int *layers, int count)
{
    struct call call = {.net = net, .layers = layers, .count = count < 0 ? 0 : (size_t)count};
    return dk_call(net, keep, &call);
}

static void topk_margins(void *argument)
{
    struct call *call = argument;
    const layer *l = dk_find_layer(call->net, call->layer);
    const float *margins = l ? dk_topk_margins_of(l) : NULL;
    if (margins && call->net->prepared) margins = dk_kept_margins(call->net->prepared, call->layer);
    size_t batch = (size_t)call->net->batch;
    if (!margins) dk_fail(DK_BAD_CALL, "layer %d is no [topk]", call->layer);
    if (call->count != batch) dk_fail(DK_BAD_CALL, "the last run had %zu images, not %zu", batch, call->count);
    memcpy(call->to, margins, batch * sizeof *margins);
}

int dk_topk_margins(dk_net *net, int layer, float *margins, size_t count)
{
    struct call call = {.net = net, .to = margins, .layer = layer, .count = count};
    return dk_call(net, topk_margins, &call);
}

static void set_output(void *argument)
{
    struct call *call = argument;
    size_t count;
    check_layer(call->net, call->layer);
    set_batch(call->net, call->batch);
    if (call->net->prepared) dk_room_for_output(call->net->prepared, call->layer);
    float *to = buffer(call->net, call->layer, &count);
    memcpy(to, call->from, count * sizeof *to);
}

int dk_set_output(dk_net *net, int layer, const float *values, int batch)
{
    struct call call = {.net = net, .from = values, .layer = layer, .batch = batch};
    return dk_call(net, set_output, &call);
}

static void forward_layer(void *argument)
{
    struct call *call = argument;
    check_layer(call->net, call->layer);
    if (call->layer < 0) dk_fail(DK_BAD_CALL, "the network's input cannot be run");
    set_batch(call->net, call->batch);
    if (call->net->prepared) {
        dk_run_alone(call->net->prepared, call->layer, call->batch);
        return;
    }
    network net = *call->net->net;
    layer l = net.layers[call->layer];
    size_t count;
    net.index = call->layer;
    net.input = buffer(call->net, call->layer - 1, &count);
    net.truth = net.delta = NULL;
    net.train = 0;
    l.forward(l, net);
}

int dk_forward_layer(dk_net *net, int layer, int batch)
{
    struct call call = {.net = net, .layer = layer, .batch = batch};
    return dk_call(net, forward_layer, &call);
}

static void put_image(void *argument)
{
    struct call *call = argument;
    const dk_image *image = call->image;
    dk_shape shape = call->net->input;
    if (image->height != shape.h || image->width != shape.w || image->channels != shape.c) {
        dk_fail(DK_BAD_CALL, "the network takes images of %dx%dx%d (height, width, channels), got %dx%dx%d", shape.h,
                shape.w, shape.c, image->height, image->width, image->channels);
    }
    int most = call->net->max_batch;
    int item = call->batch;
    if (item < 0 || item >= most) dk_fail(DK_BAD_CALL, "item %d: there are 0 to %d", item, most - 1);
    size_t count;
    float *to = buffer(call->net, -1, &count) + (size_t)call->batch * (size_t)call->net->net->inputs;
    for (int c = 0; c < shape.c; c++) {
        float values[256];
        double mean = image->mean ? image->mean[c] : 0, std = image->std ? image->std[c] : 1;
        if (!(std > 0)) dk_fail(DK_BAD_CALL, "std of channel %d must be greater than 0, got %g", c, std);
        for (int v = 0; v < 256; v++) values[v] = (float)((v * image->scale - mean) / std);
        const unsigned char *plane = image->data + (image->swap_channels ? shape.c - 1 - c : c) * image->stride_c;
        for (int y = 0; y < shape.h; y++) {
            for (int x = 0; x < shape.w; x++) *to++ = values[plane[y * image->stride_y + x * image->stride_x]];
        }
    }
}

int dk_put_image(dk_net *net, int item, const dk_image *image)
{
    struct call call = {.net = net, .image = image, .batch = item};
    return dk_call(net, put_image, &call);
}
