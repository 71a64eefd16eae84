/* [softmax] along one axis of the map. Without axis or spatial it is upstream's, over consecutive values. */
#include "layers.h"
#include "stock.h"

struct softmax {
    struct dk_run run; /* length is that of one group */
    float temperature;
};

/* The largest value is taken off first, so nothing overflows; the sum is in double. */
static void normalize(const float *in, float *out, size_t length, size_t step, float temperature)
{
    float most = in[0];
    double sum = 0;
    for (size_t i = 1; i < length; i++) {
        if (in[i * step] > most || in[i * step] != in[i * step]) most = in[i * step];
    }
    for (size_t i = 0; i < length; i++) {
        float value = expf((in[i * step] - most) / temperature);
        out[i * step] = value;
        sum += value;
    }
    for (size_t i = 0; i < length; i++) out[i * step] = (float)(out[i * step] / sum);
}

static void forward_softmax(layer l, network net)
{
    const struct softmax *k = l.dk->own;
    size_t rows = (size_t)l.batch * k->run.outer * k->run.inner;
#pragma omp parallel for if (rows * k->run.length > DK_MANY)
    for (size_t row = 0; row < rows; row++) {
        size_t place = row / k->run.inner * k->run.length * k->run.inner + row % k->run.inner;
        normalize(net.input + place, l.output + place, k->run.length, k->run.inner, k->temperature);
    }
}

static void make_softmax(const struct dk_place *p, layer *l)
{
    int axis = dk_has(p->options, "axis") ? dk_axis(p->options, "axis") : CHANNELS;
    if (dk_int(p->options, "spatial", 0) && axis != CHANNELS) dk_fail(DK_BAD_CFG, "spatial=1 means axis=c");
    int groups = dk_int(p->options, "groups", 1);
    struct softmax *k = dk_own(l, sizeof *k);
    k->run = dk_run_of(p->shape, axis, axis);
    if (k->run.length % (size_t)groups) {
        dk_fail(DK_BAD_CFG, "groups=%d does not divide the %zu cells of axis %c", groups, k->run.length, "chw"[axis]);
    }
    k->run.length /= (size_t)groups;
    k->run.outer *= (size_t)groups;
    k->temperature = (float)dk_real(p->options, "temperature", 1);
    l->forward = forward_softmax;
}

static int is_ours(list *options)
{
    return dk_has(options, "axis") || dk_int(options, "spatial", 0);
}

static const struct dk_key keys[] = {
    {"groups", COUNT}, {"temperature", POSITIVE}, {"spatial", SWITCH}, {"noloss", SWITCH}, {"axis", TEXT}, END,
};
const struct dk_kind dk_kind_softmax = {"softmax", "soft", keys, dk_check_softmax, make_softmax, is_ours};
