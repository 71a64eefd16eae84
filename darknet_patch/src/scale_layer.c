/* [scale]: times weights, plus biases, which span consecutive axes of the map. */
#include "last.h"

struct scale {
    struct dk_run run, run_last;
    const float *weights, *biases; /* NULL where there is none */
};

static void apply(const layer *l, const float *from, const struct dk_run *run)
{
    const struct scale *k = l->dk->own;
    size_t rows = (size_t)l->batch * run->outer * run->length;
#pragma omp parallel for if (rows * run->inner > DK_MANY)
    for (size_t row = 0; row < rows; row++) {
        size_t place = row % run->length;
        double weight = k->weights ? k->weights[place] : 1, bias = k->biases ? k->biases[place] : 0;
        const float *in = from + row * run->inner;
        float *out = l->output + row * run->inner;
        for (size_t i = 0; i < run->inner; i++) out[i] = (float)(in[i] * weight + bias);
    }
}

static void forward_scale(layer l, network net)
{
    const struct scale *k = l.dk->own;
    apply(&l, net.input, &k->run);
}

static void forward_scale_last(layer l, network net)
{
    const struct scale *k = l.dk->own;
    if (k->run_last.inner > 1) {
        apply(&l, net.input, &k->run_last);
        return;
    }
    size_t cells = k->run_last.outer, channels = k->run_last.length;
#pragma omp parallel for if (cells * channels > DK_MANY)
    for (size_t i = 0; i < cells; i++) {
        const float *in = net.input + i * channels;
        float *restrict out = l.output + i * channels;
        for (size_t c = 0; c < channels; c++) {
            double weight = k->weights ? k->weights[c] : 1, bias = k->biases ? k->biases[c] : 0;
            out[c] = (float)(in[c] * weight + bias);
        }
    }
}

static void make_scale(const struct dk_place *p, layer *l)
{
    struct scale *k = dk_own(l, sizeof *k);
    int axes[3] = {CHANNELS}, count = dk_has(p->options, "axes") ? dk_axes(p->options, "axes", axes) : 1;
    for (int i = 1; i < count; i++) {
        if (axes[i] != axes[i - 1] + 1) {
            dk_fail(DK_BAD_CFG, "axes=%.40s: a run of c,h,w in this order is needed", dk_text(p->options, "axes"));
        }
    }
    int weights = dk_int(p->options, "weights", 1), biases = dk_int(p->options, "biases", 1);
    if (!weights && !biases) dk_fail(DK_BAD_CFG, "has neither weights nor biases");
    k->run = dk_run_of(p->shape, axes[0], axes[count - 1]);
    if (weights) k->weights = dk_add_weights(l, (double)k->run.length, 1, 1);
    if (biases) k->biases = dk_add_weights(l, (double)k->run.length, 1, 0);
    l->forward = forward_scale;
    if (axes[0] == CHANNELS && count > 1) return; /* the weights lie C, H, W */
    k->run_last = dk_run_last(p->shape, axes[0], axes[count - 1]);
    l->dk->forward_last = forward_scale_last;
}

static const struct dk_key keys[] = {{"axes", TEXT}, {"weights", SWITCH}, {"biases", SWITCH}, END};
const struct dk_kind dk_kind_scale = {"scale", "", keys, NULL, make_scale, NULL};
