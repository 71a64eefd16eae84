/* Convolutions of one position, whose kernel covers the whole map: a sum of products for each filter. What limits
 * them is how fast weights come from memory. Partial sums side by side are more exact than a library's one. */
#include "convolution.h"

#include "filters.h"

enum { LANES = 64 };

static int covers(const struct dk_slide *s)
{
    return s->count == 1 && s->size == s->cells && !s->padding && (s->dilation == 1 || s->size == 1);
}

static int make(struct dk_convolution *k)
{
    return k->filters.groups == 1 && covers(&k->filters.y) && covers(&k->filters.x);
}

static float dot(const float *a, const float *b, size_t count)
{
    float sums[LANES] = {0};
    size_t whole = count - count % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++) sums[j] += a[i + j] * b[i + j];
    }
    for (size_t j = 0; j < count - whole; j++) sums[j] += a[whole + j] * b[whole + j];
    for (size_t half = LANES / 2; half; half /= 2) {
        for (size_t j = 0; j < half; j++) sums[j] += sums[j + half];
    }
    return sums[0];
}

static void run(const struct dk_convolution *k, const float *in, float *out, int add, float slope, float *workspace)
{
    (void)workspace;
    size_t count = dk_taps(k);
#pragma omp parallel for if (count * (size_t)k->filters.count > DK_MANY)
    for (int i = 0; i < k->filters.count; i++) {
        float x = dot(k->weights + (size_t)i * count, in, count) + k->biases[i] + (add ? out[i] : 0);
        out[i] = dk_sloped(x, slope);
    }
}

const struct dk_way dk_dots_way = {
    .make = make, .packed_count = dk_count_weights, .pack = dk_copy_weights, .get_ready = dk_is_ready, .run = run,
};
