/* Batch norm and biases on the output of a layer, the values as a weights file holds them. */
#ifndef DK_CHANNEL_NORM_H
#define DK_CHANNEL_NORM_H
#include "layers.h"

struct dk_norm {
    const float *biases, *scales, *means, *variances; /* NULL where there is none; the last three together */
    double eps;                                       /* negative: upstream's formula */
};

/* A channel's part in double, so that (x - mean) * factor + term rounds once. */
void dk_norm_of(const struct dk_norm *norm, int channel, double *factor, double *mean, double *term);
/* to = batch norm and bias of from, both batch x channels x cells; they may be the same. */
void dk_apply_norm(const struct dk_norm *norm, const float *from, float *to, int batch, int channels, size_t cells);
/* Adds biases and, if so asked, scales, means and variances to the weights of the layer. */
struct dk_norm dk_add_norm(layer *l, list *options, int channels);
#endif
