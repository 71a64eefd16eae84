/* [power], [clip] and [prelu]: each value by itself. A NaN stays one. */
#include "layers.h"

struct power {
    double power, scale, shift;
};

static double raise_to(double base, double power)
{
    if (power == 1) return base;
    if (power == 2) return base * base;
    if (power == 3) return base * base * base;
    return pow(base, power);
}

static void forward_power(layer l, network net)
{
    const struct power *k = l.dk->own;
    size_t count = (size_t)l.batch * (size_t)l.outputs;
#pragma omp parallel for if (count > DK_MANY)
    for (size_t i = 0; i < count; i++) l.output[i] = (float)raise_to(k->shift + k->scale * net.input[i], k->power);
}

static void make_power(const struct dk_place *p, layer *l)
{
    struct power *k = dk_own(l, sizeof *k);
    k->power = dk_real(p->options, "power", 1);
    k->scale = dk_real(p->options, "scale", 1);
    k->shift = dk_real(p->options, "shift", 0);
    l->forward = l->dk->forward_last = forward_power;
}

struct limits {
    float min, max;
};

static void forward_clip(layer l, network net)
{
    const struct limits *k = l.dk->own;
    size_t count = (size_t)l.batch * (size_t)l.outputs;
#pragma omp parallel for if (count > DK_MANY)
    for (size_t i = 0; i < count; i++) {
        float x = net.input[i];
        l.output[i] = x < k->min ? k->min : x > k->max ? k->max : x;
    }
}

static void make_clip(const struct dk_place *p, layer *l)
{
    struct limits *k = dk_own(l, sizeof *k);
    if (!dk_has(p->options, "min") && !dk_has(p->options, "max")) dk_fail(DK_BAD_CFG, "needs min or max");
    double min = dk_real(p->options, "min", -INFINITY), max = dk_real(p->options, "max", INFINITY);
    if (min > max) dk_fail(DK_BAD_CFG, "min=%g is greater than max=%g", min, max);
    k->min = (float)min;
    k->max = (float)max;
    l->forward = l->dk->forward_last = forward_clip;
}

struct prelu {
    const float *slopes;
    int shared;
};

static void forward_prelu(layer l, network net)
{
    const struct prelu *k = l.dk->own;
    size_t cells = (size_t)l.h * (size_t)l.w;
    int maps = l.batch * l.c;
#pragma omp parallel for if (maps * cells > DK_MANY)
    for (int m = 0; m < maps; m++) {
        float slope = k->slopes[k->shared ? 0 : m % l.c];
        const float *in = net.input + (size_t)m * cells;
        float *out = l.output + (size_t)m * cells;
        for (size_t i = 0; i < cells; i++) out[i] = in[i] > 0 ? in[i] : slope * in[i];
    }
}

static void forward_prelu_last(layer l, network net)
{
    const struct prelu *k = l.dk->own;
    int cells = l.h * l.w;
#pragma omp parallel for if (l.inputs > DK_MANY)
    for (int i = 0; i < cells; i++) {
        const float *in = net.input + (size_t)i * (size_t)l.c;
        float *restrict out = l.output + (size_t)i * (size_t)l.c;
        for (int c = 0; c < l.c; c++) {
            float less = k->slopes[c] * in[c];
            out[c] = in[c] > 0 ? in[c] : less;
        }
    }
}

static void make_prelu(const struct dk_place *p, layer *l)
{
    struct prelu *k = dk_own(l, sizeof *k);
    k->shared = dk_int(p->options, "shared", 0);
    k->slopes = dk_add_weights(l, k->shared ? 1 : l->c, 1, 0);
    l->forward = forward_prelu;
    l->dk->forward_last = k->shared ? forward_prelu : forward_prelu_last;
}

static const struct dk_key power_keys[] = {{"power", ANY}, {"scale", ANY}, {"shift", ANY}, END};
static const struct dk_key clip_keys[] = {{"min", ANY}, {"max", ANY}, END};
static const struct dk_key prelu_keys[] = {{"shared", SWITCH}, END};
const struct dk_kind dk_kind_power = {"power", "", power_keys, NULL, make_power, NULL};
const struct dk_kind dk_kind_clip = {"clip", "", clip_keys, NULL, make_clip, NULL};
const struct dk_kind dk_kind_prelu = {"prelu", "", prelu_keys, NULL, make_prelu, NULL};
