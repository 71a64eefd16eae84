#include "convolution.h"

#include <string.h>

#include "amx_tiles.h"
#include "channel_norm.h"
#include "filters.h"

/* The best first. What takes maps as H, W, C must never get a [connected], whose inputs count as C, H, W: AMX wants
 * more positions than its one, and dots takes them all. */
static const struct dk_way *const ways[] = {
#if defined(DK_AMX)
    &dk_amx_way,
#endif
    &dk_dots_way,
#if defined(DK_ONEDNN)
    &dk_onednn_way,
#endif
    &dk_product_way,
};

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
    for (const struct dk_way *const *way = ways; !kept->way; way++) {
        if ((*way)->make(kept)) kept->way = *way;
    }
    return kept;
}

size_t dk_count_weights(const struct dk_convolution *k)
{
    return dk_taps(k) * (size_t)k->filters.count;
}

void dk_copy_weights(const struct dk_convolution *k, const float *weights)
{
    memcpy(k->weights, weights, dk_count_weights(k) * sizeof *weights);
}

int dk_is_ready(const struct dk_convolution *k, int add, int sloped)
{
    (void)k, (void)add, (void)sloped;
    return 1;
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
    size_t count = dk_taps(k);
#pragma omp parallel for private(factor, mean, term) if (count * (size_t)filters > DK_MANY)
    for (int i = 0; i < filters; i++) {
        dk_norm_of(&norm, i, &factor, &mean, &term);
        k->biases[i] = (float)(term - mean * factor);
        float *row = weights + (size_t)i * count;
        for (size_t j = 0; norm.scales && j < count; j++) row[j] = (float)(row[j] * factor);
    }
    return 1;
}

int dk_can_fuse(struct dk_convolution *k, int add, const struct dk_activation *activation)
{
    float slope;
    if (!dk_slope_of(activation, &slope)) return 0;
    return k->way->get_ready(k, add, slope != 1);
}

void dk_convolve(struct dk_convolution *k, const float *in, float *out, int add,
                 const struct dk_activation *activation, float *workspace)
{
    float slope;
    if (!dk_slope_of(activation, &slope)) slope = 1;
    k->way->run(k, in, out, add, slope, workspace);
}
