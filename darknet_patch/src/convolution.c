#include "convolution.h"

#include <string.h>

#include "channel_norm.h"
#include "filters.h"

static struct dk_slide slide(int size, int stride, int padding, int cells, int count)
{
    return (struct dk_slide){size, stride, padding, 1, cells, count};
}

struct dk_convolution *dk_convolution_of(const layer *l)
{
    struct dk_convolution made = {.channels = l->c};
    struct dk_filters *f = &made.filters;
    const struct dk_filters *ours = dk_filters_of(l);
    if (ours) {
        *f = *ours;
    } else if (l->type == CONVOLUTIONAL) {
        f->y = slide(l->size, l->stride, l->pad, l->h, l->out_h);
        f->x = slide(l->size, l->stride, l->pad, l->w, l->out_w);
        f->count = l->n;
        f->groups = l->groups;
    } else if (l->type == CONNECTED) {
        f->y = f->x = slide(1, 1, 0, 1, 1);
        f->count = l->outputs;
        f->groups = 1;
        made.channels = l->inputs;
    } else {
        return NULL;
    }
    struct dk_convolution *kept = dk_calloc(1, sizeof *kept);
    *kept = made;
    kept->biases = dk_calloc((size_t)f->count, sizeof(float));
    kept->amx = dk_amx_of(kept);
    if (!kept->amx) kept->fast = dk_onednn_of(kept);
    return kept;
}

/* Weights of one filter. */
static size_t taps(const struct dk_convolution *k)
{
    const struct dk_filters *f = &k->filters;
    return (size_t)(k->channels / f->groups) * (size_t)f->y.size * (size_t)f->x.size;
}

size_t dk_packed_count(const struct dk_convolution *k)
{
    if (k->amx) return dk_amx_packed_count(k);
    return k->fast ? dk_onednn_packed_count(k->fast) : taps(k) * (size_t)k->filters.count;
}

static struct dk_norm norm_of(const layer *l)
{
    const struct dk_norm *ours = dk_filters_norm(l);
    if (ours) return *ours;
    struct dk_norm norm = {.biases = l->biases, .eps = -1};
    if (!l->batch_normalize) return norm;
    norm.scales = l->scales;
    norm.means = l->rolling_mean;
    norm.variances = l->rolling_variance;
    return norm;
}

int dk_fold(const layer *l, struct dk_convolution *k, float *weights)
{
    struct dk_norm norm = norm_of(l);
    int filters = k->filters.count, fits = 1;
    double factor, mean, term;
    for (int i = 0; i < filters; i++) {
        dk_norm_of(&norm, i, &factor, &mean, &term);
        double most = fabs(factor);
        /* Weights times less would lose digits as denormal numbers, times more they could overflow. */
        fits = fits && (most == 0 || (most > 1e-20 && most < 1e20)) && fabs(term - mean * factor) < 1e30;
    }
    if (!fits) return 0;
    size_t count = taps(k);
#pragma omp parallel for private(factor, mean, term) if (count * (size_t)filters > DK_MANY)
    for (int i = 0; i < filters; i++) {
        dk_norm_of(&norm, i, &factor, &mean, &term);
        k->biases[i] = (float)(term - mean * factor);
        float *row = weights + (size_t)i * count;
        for (size_t j = 0; norm.scales && j < count; j++) row[j] = (float)(row[j] * factor);
    }
    return 1;
}

void dk_pack(struct dk_convolution *k, const float *weights, float *to)
{
    k->weights = to;
    if (k->amx) dk_amx_pack(k, weights);
    else if (k->fast) dk_onednn_pack(k, weights);
    else memcpy(to, weights, dk_packed_count(k) * sizeof *to);
}

int dk_takes_last(const struct dk_convolution *k)
{
    return k->amx || k->fast;
}

int dk_can_fuse(struct dk_convolution *k, int add, const struct dk_activation *activation)
{
    float slope;
    if (!dk_slope_of(activation, &slope)) return 0;
    return !k->fast || dk_onednn_ready(k, add, slope != 1);
}

/* One pass over the output: what is left after the product. */
static void finish(const float *biases, float slope, float *out, int filters, size_t positions)
{
#pragma omp parallel for if (filters * positions > DK_MANY)
    for (int i = 0; i < filters; i++) {
        float bias = biases[i], *row = out + (size_t)i * positions;
        if (slope == 1) {
            for (size_t j = 0; j < positions; j++) row[j] += bias;
        } else {
            for (size_t j = 0; j < positions; j++) {
                float x = row[j] + bias, below = slope == 0 ? 0 : slope * x; /* 0, not NaN, at -inf */
                row[j] = x <= 0 ? below : x;
            }
        }
    }
}

void dk_convolve(struct dk_convolution *k, const float *in, float *out, int add,
                 const struct dk_activation *activation, float *workspace)
{
    float slope;
    if (!dk_slope_of(activation, &slope)) slope = 1;
    if (k->amx) {
        dk_amx_convolve(k, in, out, add, slope);
        return;
    }
    if (k->fast) {
        dk_onednn_convolve(k, in, out, add, slope);
        return;
    }
    const struct dk_filters *f = &k->filters;
    int filters = f->count / f->groups, channels = k->channels / f->groups;
    size_t cells = (size_t)f->y.cells * (size_t)f->x.cells, positions = (size_t)f->y.count * (size_t)f->x.count;
    for (int g = 0; g < f->groups; g++) {
        const float *map = in + (size_t)g * (size_t)channels * cells;
        if (!dk_is_pointwise(f)) dk_to_columns(map, channels, f, workspace);
        dk_multiply(0, 0, filters, (int)positions, (int)taps(k), 1, k->weights + (size_t)g * (size_t)filters * taps(k),
                    (int)taps(k), dk_is_pointwise(f) ? map : workspace, (int)positions, add ? 1 : 0,
                    out + (size_t)g * (size_t)filters * positions, (int)positions);
    }
    finish(k->biases, slope, out, f->count, positions);
}
