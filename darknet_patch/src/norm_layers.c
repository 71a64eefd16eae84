/* [batchnorm] with biases or an epsilon of its own, and [instancenorm]. */
#include "channel_norm.h"
#include "last.h"
#include "stock.h"

static void forward_batchnorm(layer l, network net)
{
    dk_apply_norm(l.dk->own, net.input, l.output, l.batch, l.c, (size_t)l.h * (size_t)l.w);
}

static void forward_batchnorm_last(layer l, network net)
{
    size_t cells = (size_t)l.h * (size_t)l.w, channels = (size_t)l.c;
#pragma omp parallel if (l.inputs > DK_MANY)
    for (int chunk = 0; chunk < dk_chunks(l.c); chunk++) {
        int first = chunk * DK_CHUNK, count = dk_chunk_count(l.c, chunk);
        double factors[DK_CHUNK], means[DK_CHUNK], terms[DK_CHUNK];
        for (int c = 0; c < count; c++) dk_norm_of(l.dk->own, first + c, &factors[c], &means[c], &terms[c]);
#pragma omp for nowait
        for (size_t i = 0; i < cells; i++) {
            const float *in = net.input + i * channels + first;
            float *restrict out = l.output + i * channels + first;
            for (int c = 0; c < count; c++) out[c] = (float)((in[c] - means[c]) * factors[c] + terms[c]);
        }
    }
}

static void make_batchnorm(const struct dk_place *p, layer *l)
{
    struct dk_norm *norm = dk_own(l, sizeof *norm);
    if (dk_int(p->options, "biases", 0)) norm->biases = dk_add_weights(l, l->c, 1, 0);
    norm->scales = dk_add_weights(l, l->c, 1, 1);
    norm->means = dk_add_weights(l, l->c, 1, 0);
    norm->variances = dk_add_weights(l, l->c, 1, 0);
    norm->eps = dk_real(p->options, "eps", -1);
    l->forward = forward_batchnorm;
    l->dk->forward_last = forward_batchnorm_last;
}

static int is_ours(list *options)
{
    return dk_has(options, "biases") || dk_has(options, "eps");
}

struct instance {
    const float *scales, *biases; /* NULL with affine=0 */
    double eps;
};

/* Twice over the map, in double: the variance of values far from 0 keeps its digits. */
static void forward_instancenorm(layer l, network net)
{
    const struct instance *k = l.dk->own;
    size_t cells = (size_t)l.h * (size_t)l.w;
    int maps = l.batch * l.c;
#pragma omp parallel for if (maps * cells > DK_MANY)
    for (int m = 0; m < maps; m++) {
        const float *in = net.input + (size_t)m * cells;
        float *out = l.output + (size_t)m * cells;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < cells; i++) sum += in[i];
        double mean = sum / (double)cells;
        for (size_t i = 0; i < cells; i++) squares += (in[i] - mean) * (in[i] - mean);
        double factor = (k->scales ? k->scales[m % l.c] : 1) / sqrt(squares / (double)cells + k->eps);
        double term = k->biases ? k->biases[m % l.c] : 0;
        for (size_t i = 0; i < cells; i++) out[i] = (float)((in[i] - mean) * factor + term);
    }
}

/* The sums of each channel in the same order as above. */
static void normalize_last(const layer *l, const float *from, int first, int count)
{
    const struct instance *k = l->dk->own;
    size_t cells = (size_t)l->h * (size_t)l->w, channels = (size_t)l->c;
    double means[DK_CHUNK] = {0}, factors[DK_CHUNK] = {0}, terms[DK_CHUNK];
    for (size_t i = 0; i < cells; i++) {
        for (int c = 0; c < count; c++) means[c] += from[i * channels + c];
    }
    for (int c = 0; c < count; c++) means[c] /= (double)cells;
    for (size_t i = 0; i < cells; i++) {
        const float *in = from + i * channels;
        for (int c = 0; c < count; c++) factors[c] += (in[c] - means[c]) * (in[c] - means[c]);
    }
    for (int c = 0; c < count; c++) {
        factors[c] = (k->scales ? k->scales[first + c] : 1) / sqrt(factors[c] / (double)cells + k->eps);
        terms[c] = k->biases ? k->biases[first + c] : 0;
    }
    for (size_t i = 0; i < cells; i++) {
        const float *in = from + i * channels;
        float *restrict out = l->output + i * channels + first;
        for (int c = 0; c < count; c++) out[c] = (float)((in[c] - means[c]) * factors[c] + terms[c]);
    }
}

static void forward_instancenorm_last(layer l, network net)
{
    int chunks = dk_chunks(l.c);
#pragma omp parallel for if (l.inputs > DK_MANY)
    for (int chunk = 0; chunk < chunks; chunk++) {
        int first = chunk * DK_CHUNK;
        normalize_last(&l, net.input + first, first, dk_chunk_count(l.c, chunk));
    }
}

static void make_instancenorm(const struct dk_place *p, layer *l)
{
    struct instance *k = dk_own(l, sizeof *k);
    k->eps = dk_real(p->options, "eps", 1e-5);
    if (dk_int(p->options, "affine", 1)) {
        k->scales = dk_add_weights(l, l->c, 1, 1);
        k->biases = dk_add_weights(l, l->c, 1, 0);
    }
    l->forward = forward_instancenorm;
    l->dk->forward_last = forward_instancenorm_last;
}

static const struct dk_key batchnorm_keys[] = {{"biases", SWITCH}, {"eps", NOT_NEGATIVE}, END};
static const struct dk_key instancenorm_keys[] = {{"eps", NOT_NEGATIVE}, {"affine", SWITCH}, END};
const struct dk_kind dk_kind_batchnorm = {"batchnorm", "", batchnorm_keys, dk_check_map, make_batchnorm, is_ours};
const struct dk_kind dk_kind_instancenorm = {"instancenorm", "", instancenorm_keys, NULL, make_instancenorm, NULL};
