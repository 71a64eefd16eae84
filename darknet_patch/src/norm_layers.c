/* [batchnorm] with biases or an epsilon of its own, and [instancenorm]. */
#include "channel_norm.h"
#include "stock.h"

static void forward_batchnorm(layer l, network net)
{
    dk_apply_norm(l.dk->own, net.input, l.output, l.batch, l.c, (size_t)l.h * (size_t)l.w);
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

static void make_instancenorm(const struct dk_place *p, layer *l)
{
    struct instance *k = dk_own(l, sizeof *k);
    k->eps = dk_real(p->options, "eps", 1e-5);
    if (dk_int(p->options, "affine", 1)) {
        k->scales = dk_add_weights(l, l->c, 1, 1);
        k->biases = dk_add_weights(l, l->c, 1, 0);
    }
    l->forward = forward_instancenorm;
}

static const struct dk_key batchnorm_keys[] = {{"biases", SWITCH}, {"eps", NOT_NEGATIVE}, END};
static const struct dk_key instancenorm_keys[] = {{"eps", NOT_NEGATIVE}, {"affine", SWITCH}, END};
const struct dk_kind dk_kind_batchnorm = {"batchnorm", "", batchnorm_keys, dk_check_map, make_batchnorm, is_ours};
const struct dk_kind dk_kind_instancenorm = {"instancenorm", "", instancenorm_keys, NULL, make_instancenorm, NULL};
