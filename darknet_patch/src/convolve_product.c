/* Convolutions by a matrix product (dk_multiply) on maps that lie C, H, W. */
#include "convolution.h"

#include "filters.h"

static int make(struct dk_convolution *k)
{
    (void)k;
    return 1;
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
                row[j] = dk_sloped(row[j] + bias, slope);
            }
        }
    }
}

static void run(const struct dk_convolution *k, const float *in, float *out, int add, float slope, float *workspace)
{
    const struct dk_filters *f = &k->filters;
    int filters = f->count / f->groups, channels = k->channels / f->groups, taps = (int)dk_taps(k);
    size_t cells = (size_t)f->y.cells * (size_t)f->x.cells, positions = (size_t)f->y.count * (size_t)f->x.count;
    for (int g = 0; g < f->groups; g++) {
        const float *map = in + (size_t)g * (size_t)channels * cells;
        if (!dk_is_pointwise(f)) dk_to_columns(map, channels, f, workspace);
        dk_multiply(0, 0, filters, (int)positions, taps, 1, k->weights + (size_t)g * (size_t)filters * (size_t)taps,
                    taps, dk_is_pointwise(f) ? map : workspace, (int)positions, add ? 1 : 0,
                    out + (size_t)g * (size_t)filters * positions, (int)positions);
    }
    finish(k->biases, slope, out, f->count, positions);
}

const struct dk_way dk_product_way = {
    .make = make, .packed_count = dk_count_weights, .pack = dk_copy_weights, .get_ready = dk_is_ready, .run = run,
};
