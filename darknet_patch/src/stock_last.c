/* forward_last of the layers that upstream makes, each with the arithmetic of upstream's forward. */
#include <string.h>

#include "last.h"

static void forward_avgpool(layer l, network net)
{
    int cells = l.h * l.w, chunks = dk_chunks(l.c);
#pragma omp parallel for if (l.inputs > DK_MANY)
    for (int chunk = 0; chunk < chunks; chunk++) {
        int count = dk_chunk_count(l.c, chunk);
        float totals[DK_CHUNK] = {0};
        for (int i = 0; i < cells; i++) {
            const float *cell = net.input + (size_t)i * (size_t)l.c + chunk * DK_CHUNK;
            for (int c = 0; c < count; c++) totals[c] += cell[c];
        }
        for (int c = 0; c < count; c++) l.output[chunk * DK_CHUNK + c] = totals[c] / (float)cells;
    }
}

static void forward_route(layer l, network net)
{
    size_t cells = (size_t)l.out_h * (size_t)l.out_w, begin = 0;
    for (int i = 0; i < l.n; i++) {
        const layer *source = &net.layers[l.input_layers[i]];
        size_t part = (size_t)source->outputs / cells;
#pragma omp parallel for if (source->outputs > DK_MANY)
        for (size_t cell = 0; cell < cells; cell++) {
            float *to = l.output + cell * (size_t)l.out_c + begin;
            memcpy(to, source->output + cell * part, part * sizeof *to);
        }
        begin += part;
    }
}

static void forward_shortcut(layer l, network net)
{
    const struct dk_activation activation = {.stock = l.activation};
    const float *from = net.layers[l.index].output, *in = net.input;
    float *restrict out = l.output;
#pragma omp parallel for if (l.outputs > DK_MANY)
    for (int i = 0; i < l.outputs; i++) out[i] = l.alpha * in[i] + l.beta * from[i];
    dk_activate(&activation, out, (size_t)l.outputs);
}

static void forward_activation(layer l, network net)
{
    const struct dk_activation activation = {.stock = l.activation};
    memcpy(l.output, net.input, (size_t)l.outputs * sizeof(float));
    dk_activate(&activation, l.output, (size_t)l.outputs);
}

/* Without biases, which upstream's file has no place for. */
static void forward_batchnorm(layer l, network net)
{
    size_t cells = (size_t)l.h * (size_t)l.w, channels = (size_t)l.c;
#pragma omp parallel if (l.inputs > DK_MANY)
    for (int chunk = 0; chunk < dk_chunks(l.c); chunk++) {
        int first = chunk * DK_CHUNK, count = dk_chunk_count(l.c, chunk);
        const float *means = l.rolling_mean + first, *scales = l.scales + first;
        double roots[DK_CHUNK];
        for (int c = 0; c < count; c++) roots[c] = sqrt(l.rolling_variance[first + c]) + .000001F;
#pragma omp for nowait
        for (size_t i = 0; i < cells; i++) {
            const float *in = net.input + i * channels + first;
            float *restrict out = l.output + i * channels + first;
            for (int c = 0; c < count; c++) out[c] = (float)((in[c] - means[c]) / roots[c]) * scales[c];
        }
    }
}

static void forward_l2norm(layer l, network net)
{
    int cells = l.out_h * l.out_w;
#pragma omp parallel for if (l.outputs > DK_MANY)
    for (int i = 0; i < cells; i++) {
        const float *in = net.input + (size_t)i * (size_t)l.out_c;
        float *restrict out = l.output + (size_t)i * (size_t)l.out_c, sum = 0;
        for (int c = 0; c < l.out_c; c++) sum += in[c] * in[c];
        float length = sqrtf(sum);
        for (int c = 0; c < l.out_c; c++) out[c] = in[c] / length;
    }
}

static void forward_upsample(layer l, network net)
{
    int cells = l.out_h * l.out_w;
#pragma omp parallel for if (l.outputs > DK_MANY)
    for (int i = 0; i < cells; i++) {
        int y = i / l.out_w / l.stride, x = i % l.out_w / l.stride;
        const float *in = net.input + ((size_t)y * (size_t)l.w + (size_t)x) * (size_t)l.c;
        float *restrict out = l.output + (size_t)i * (size_t)l.c;
        for (int c = 0; c < l.c; c++) out[c] = l.scale * in[c];
    }
}

static void forward_crop(layer l, network net)
{
    float scale = l.noadjust ? 1 : 2, term = l.noadjust ? 0 : -1;
    int top = (l.h - l.out_h) / 2, left = (l.w - l.out_w) / 2, row = l.out_w * l.out_c;
    for (int y = 0; y < l.out_h; y++) {
        const float *in = net.input + ((size_t)(top + y) * (size_t)l.w + (size_t)left) * (size_t)l.c;
        float *restrict out = l.output + (size_t)y * (size_t)row;
        for (int i = 0; i < row; i++) out[i] = in[i] * scale + term;
    }
}

void dk_choose_last(layer *l)
{
    static void (*const stock[BLANK])(layer l, network net) = {
        [AVGPOOL] = forward_avgpool, [ROUTE] = forward_route, [SHORTCUT] = forward_shortcut,
        [ACTIVE] = forward_activation, [BATCHNORM] = forward_batchnorm, [L2NORM] = forward_l2norm,
        [UPSAMPLE] = forward_upsample, [CROP] = forward_crop,
    };
    int is_flat = l->type == ROUTE && !l->out_c; /* parts in the order C, H, W, one after another */
    if (l->type != OURS && !is_flat) l->dk->forward_last = stock[l->type];
}
