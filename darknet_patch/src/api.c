/* The functions of dk.h. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "darknet.h"
#include "hooks.h"
#include "topk.h"
#include "weights.h"

network *parse_network_cfg(char *filename);

struct dk_net {
    struct dk_context context;
    network *net;
    dk_shape input;
    int batch; /* of the last run */
};

struct load {
    dk_net *net;
    const char *cfg, *weights;
};

static void load(void *argument)
{
    struct load *job = argument;
    dk_net *net = job->net;
    net->net = parse_network_cfg((char *)job->cfg);
    net->context.section = NULL; /* its text went with the cfg */
    const network *n = net->net;
    net->input = n->c ? (dk_shape){n->c, n->h, n->w} : (dk_shape){n->inputs, 1, 1};
    if (!job->weights) return;
    dk_check_weights(net->net, job->weights);
    load_weights(net->net, (char *)job->weights);
}

int dk_load(const char *cfg, const char *weights, int batch, dk_net **out, char *message, size_t size)
{
    dk_net *net = calloc(1, sizeof *net);
    int status = DK_NO_MEMORY;
    const char *words = "out of memory";
    *out = NULL;
    if (net && batch < 1) {
        status = DK_BAD_CALL;
        words = "batch must be at least 1";
    } else if (net) {
        struct load job = {net, cfg, weights};
        dk_context_init(&net->context);
        net->context.max_batch = batch;
        net->batch = batch;
        status = dk_guarded(&net->context, load, &job);
        words = net->context.message;
    }
    if (size) {
        message[0] = '\0';
        if (status != DK_OK) strncat(message, words, size - 1);
    }
    if (status == DK_OK) {
        *out = net;
        return status;
    }
    if (net && batch >= 1) dk_context_clear(&net->context);
    free(net);
    return status;
}

void dk_free(dk_net *net)
{
    if (!net) return;
    dk_context_clear(&net->context);
    free(net);
}

const char *dk_message(const dk_net *net)
{
    return net->context.message;
}

int dk_layer_count(const dk_net *net)
{
    return net->net->n;
}

static const layer *find_layer(const dk_net *net, int index)
{
    return index >= 0 && index < net->net->n ? &net->net->layers[index] : NULL;
}

const char *dk_layer_name(const dk_net *net, int index)
{
    const layer *l = find_layer(net, index);
    if (!l) return NULL;
    return l->dk->name ? l->dk->name : "";
}

const char *dk_layer_type(const dk_net *net, int index)
{
    const layer *l = find_layer(net, index);
    return l ? l->dk->type : NULL;
}

int dk_layer_shape(const dk_net *net, int index, dk_shape *shape)
{
    const layer *l = find_layer(net, index);
    if (!l && index != -1) return DK_BAD_CALL;
    if (!l) *shape = net->input;
    else if (l->out_c) *shape = (dk_shape){l->out_c, l->out_h, l->out_w};
    else *shape = (dk_shape){l->outputs, 1, 1};
    return DK_OK;
}

int dk_layer_sources(const dk_net *net, int index, int *sources, int room)
{
    const layer *l = find_layer(net, index);
    if (!l) return -1;
    if (l->type == ROUTE) {
        for (int i = 0; i < l->n && i < room; i++) sources[i] = l->input_layers[i];
        return l->n;
    }
    if (l->type == OURS) {
        for (int i = 0; i < l->dk->source_count && i < room; i++) sources[i] = l->dk->sources[i];
        return l->dk->source_count;
    }
    if (room > 0) sources[0] = index - 1;
    if (l->type != SHORTCUT) return 1;
    if (room > 1) sources[1] = l->index;
    return 2;
}

static void check_layer(const dk_net *net, int index)
{
    int count = net->net->n;
    if (index < -1 || index >= count) dk_fail(DK_BAD_CALL, "layer %d: the layers are -1 to %d", index, count - 1);
}

static void set_batch(dk_net *net, int batch)
{
    int most = net->context.max_batch;
    if (batch < 1 || batch > most) dk_fail(DK_BAD_CALL, "batch %d: the network was loaded for 1 to %d", batch, most);
    net->batch = batch;
    set_batch_network(net->net, batch);
}

/* The buffer that holds a layer's output, or the network's input, for all images. */
static float *buffer(const dk_net *net, int index, size_t *count)
{
    const network *n = net->net;
    *count = (size_t)net->batch * (index < 0 ? n->inputs : n->layers[index].outputs);
    return index < 0 ? n->input : n->layers[index].output;
}

struct call {
    dk_net *net;
    const float *from;
    float *to;
    const dk_image *image;
    size_t count;
    int layer, batch;
};

static void predict(void *argument)
{
    struct call *call = argument;
    set_batch(call->net, call->batch);
    size_t count;
    float *input = buffer(call->net, -1, &count);
    if (call->from) memcpy(input, call->from, count * sizeof *input);
    network_predict(call->net->net, input);
}

int dk_predict(dk_net *net, const float *input, int batch)
{
    struct call call = {.net = net, .from = input, .batch = batch};
    return dk_guarded(&net->context, predict, &call);
}

static void output(void *argument)
{
    struct call *call = argument;
    size_t count;
    check_layer(call->net, call->layer);
    const float *from = buffer(call->net, call->layer, &count);
    if (count != call->count) dk_fail(DK_BAD_CALL, "layer %d gives %zu values, not %zu", call->layer, count, call->count);
    memcpy(call->to, from, count * sizeof *from);
}

int dk_output(dk_net *net, int layer, float *values, size_t count)
{
    struct call call = {.net = net, .to = values, .layer = layer, .count = count};
    return dk_guarded(&net->context, output, &call);
}

static void topk_margins(void *argument)
{
    struct call *call = argument;
    const layer *l = find_layer(call->net, call->layer);
    const float *margins = l ? dk_topk_margins_of(l) : NULL;
    size_t batch = (size_t)call->net->batch;
    if (!margins) dk_fail(DK_BAD_CALL, "layer %d is no [topk]", call->layer);
    if (call->count != batch) dk_fail(DK_BAD_CALL, "the last run had %zu images, not %zu", batch, call->count);
    memcpy(call->to, margins, batch * sizeof *margins);
}

int dk_topk_margins(dk_net *net, int layer, float *margins, size_t count)
{
    struct call call = {.net = net, .to = margins, .layer = layer, .count = count};
    return dk_guarded(&net->context, topk_margins, &call);
}

static void set_output(void *argument)
{
    struct call *call = argument;
    size_t count;
    check_layer(call->net, call->layer);
    set_batch(call->net, call->batch);
    float *to = buffer(call->net, call->layer, &count);
    memcpy(to, call->from, count * sizeof *to);
}

int dk_set_output(dk_net *net, int layer, const float *values, int batch)
{
    struct call call = {.net = net, .from = values, .layer = layer, .batch = batch};
    return dk_guarded(&net->context, set_output, &call);
}

static void forward_layer(void *argument)
{
    struct call *call = argument;
    check_layer(call->net, call->layer);
    if (call->layer < 0) dk_fail(DK_BAD_CALL, "the network's input cannot be run");
    set_batch(call->net, call->batch);
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
    return dk_guarded(&net->context, forward_layer, &call);
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
    int most = call->net->context.max_batch;
    if (call->batch < 0 || call->batch >= most) dk_fail(DK_BAD_CALL, "item %d: there are 0 to %d", call->batch, most - 1);
    float *to = call->net->net->input + (size_t)call->batch * call->net->net->inputs;
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
    return dk_guarded(&net->context, put_image, &call);
}
