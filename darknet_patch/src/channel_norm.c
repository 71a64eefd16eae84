#include "channel_norm.h"

void dk_norm_of(const struct dk_norm *norm, int channel, double *factor, double *mean, double *term)
{
    *factor = 1;
    *mean = 0;
    *term = norm->biases ? norm->biases[channel] : 0;
    if (!norm->scales) return;
    double variance = norm->variances[channel];
    double root = norm->eps < 0 ? sqrt(variance) + 1e-6 : sqrt(variance + norm->eps);
    *factor = norm->scales[channel] / root;
    *mean = norm->means[channel];
}

void dk_apply_norm(const struct dk_norm *norm, const float *from, float *to, int batch, int channels, size_t cells)
{
    int maps = batch * channels;
#pragma omp parallel for if (maps * cells > DK_MANY)
    for (int m = 0; m < maps; m++) {
        double factor, mean, term;
        dk_norm_of(norm, m % channels, &factor, &mean, &term);
        const float *in = from + (size_t)m * cells;
        float *out = to + (size_t)m * cells;
        for (size_t i = 0; i < cells; i++) out[i] = (float)((in[i] - mean) * factor + term);
    }
}

struct dk_norm dk_add_norm(layer *l, list *options, int channels)
{
    struct dk_norm norm = {.eps = -1};
    norm.biases = dk_add_weights(l, channels, 1, 0);
    if (!dk_int(options, "batch_normalize", 0)) return norm;
    int loaded = !dk_int(options, "dontloadscales", 0);
    norm.scales = dk_add_weights(l, channels, loaded, 1);
    norm.means = dk_add_weights(l, channels, loaded, 0);
    norm.variances = dk_add_weights(l, channels, loaded, 0);
    return norm;
}
