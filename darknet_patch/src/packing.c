/* Weights of a prepared network: read once, layer by layer, into a buffer that is used again, folded there and
 * packed. A mapped file would save no copy, and be the death of the process if another one cut the file short. */
#include "packing.h"

#include <stdint.h>
#include <string.h>

#include "convolution.h"
#include "filters.h"
#include "weights.h"

void load_convolutional_weights(layer l, FILE *file);
void load_connected_weights(layer l, FILE *file, int transpose);
void load_batchnorm_weights(layer l, FILE *file);

struct packing {
    FILE *file; /* NULL: no weights */
    int transposed;
    float *buffer, *packed;
};

static size_t weights_of(const layer *l)
{
    if (l->type == CONNECTED) return (size_t)l->inputs * (size_t)l->outputs;
    if (l->type == CONVOLUTIONAL) return (size_t)l->nweights;
    return (size_t)l->dk->weights[l->dk->weight_count - 1].count;
}

static void move_weights(layer *l, float *values)
{
    if (l->type == OURS) dk_move_filters(l, values);
    else l->weights = values;
}

static size_t padded(size_t count)
{
    return (count + 15) / 16 * 16;
}

static float *aligned(float *values)
{
    return (float *)(((uintptr_t)values + 63) & ~(uintptr_t)63);
}

static void read_layer(const struct packing *packing, layer *l)
{
    if (!packing->file || l->dontload) return;
    if (l->type == OURS) dk_load_layer(l, packing->file);
    else if (l->type == CONVOLUTIONAL || l->type == DECONVOLUTIONAL) load_convolutional_weights(*l, packing->file);
    else if (l->type == CONNECTED) load_connected_weights(*l, packing->file, packing->transposed);
    else if (l->type == BATCHNORM) load_batchnorm_weights(*l, packing->file);
}

static void pack_layer(struct packing *packing, layer *l)
{
    struct dk_convolution *k = l->dk->convolution;
    size_t count = weights_of(l);
    if (!packing->file || l->dontload) memset(packing->buffer, 0, count * sizeof(float));
    move_weights(l, packing->buffer);
    read_layer(packing, l);
    if (dk_fold(l, k, packing->buffer)) {
        k->weights = packing->packed;
        k->way->pack(k, packing->buffer);
        packing->packed += padded(k->way->packed_count(k));
        move_weights(l, NULL);
        return;
    }
    float *plain = dk_calloc(count, sizeof *plain);
    memcpy(plain, packing->buffer, count * sizeof *plain);
    move_weights(l, plain);
    l->dk->convolution = NULL;
}

void dk_pack_weights(network *net, const char *path)
{
    struct packing packing = {0};
    size_t total = 0, largest = 0;
    for (int i = 0; i < net->n; i++) {
        layer *l = &net->layers[i];
        struct dk_convolution *k = l->dk->convolution = dk_convolution_of(l);
        if (!k) continue;
        dk_release(l->type == OURS ? l->dk->weights[l->dk->weight_count - 1].values : l->weights);
        total += padded(k->way->packed_count(k));
        if (weights_of(l) > largest) largest = weights_of(l);
    }
    float *all = dk_calloc(total + 16, sizeof *all), *buffer = dk_calloc(largest + 16, sizeof *buffer);
    packing.packed = aligned(all);
    packing.buffer = aligned(buffer);
    if (path) packing.file = dk_open_weights(path, &packing.transposed);
    for (int i = 0; i < net->n; i++) {
        if (net->layers[i].dk->convolution) pack_layer(&packing, &net->layers[i]);
        else read_layer(&packing, &net->layers[i]);
    }
    if (path) dk_close(packing.file);
    dk_release(buffer);
}
