/* [softmax] along one axis of the map. Without axis or spatial it is upstream's, over consecutive values. */
#include "exponent.h"
#include "last.h"
#include "stock.h"

struct softmax {
    struct dk_run run, run_last; /* length is that of one group */
    float temperature;
};

static size_t take(const float *in, size_t begin, size_t length, size_t step, float *values)
{
    size_t count = length - begin < DK_CHUNK ? length - begin : DK_CHUNK;
    for (size_t i = 0; i < count; i++) values[i] = in[(begin + i) * step];
    return count;
}

/* NaN when there is one. */
static float largest(const float *in, size_t length, size_t step)
{
    float values[DK_CHUNK], most[DK_CHUNK], all = -INFINITY;
    int odd[DK_CHUNK] = {0}, is_odd = 0;
    for (int i = 0; i < DK_CHUNK; i++) most[i] = -INFINITY;
    for (size_t begin = 0; begin < length; begin += DK_CHUNK) {
        size_t count = take(in, begin, length, step, values);
        for (size_t i = 0; i < count; i++) {
            most[i] = values[i] > most[i] ? values[i] : most[i];
            odd[i] |= values[i] != values[i];
        }
    }
    for (int i = 0; i < DK_CHUNK; i++) {
        all = most[i] > all ? most[i] : all;
        is_odd |= odd[i];
    }
    return is_odd ? NAN : all;
}

/* The largest value is taken off first, so nothing overflows; the sum is in double. */
static void normalize(const float *in, float *out, size_t length, size_t step, float temperature)
{
    float most = largest(in, length, step), values[DK_CHUNK];
    double sum = 0;
    for (size_t begin = 0; begin < length; begin += DK_CHUNK) {
        size_t count = take(in, begin, length, step, values);
        for (size_t i = 0; i < count; i++) values[i] = (values[i] - most) / temperature;
        dk_exp(values, count);
        for (size_t i = 0; i < count; i++) {
            out[(begin + i) * step] = values[i];
            sum += values[i];
        }
    }
    double factor = 1 / sum;
    for (size_t i = 0; i < length; i++) out[i * step] = (float)(out[i * step] * factor);
}

static void normalize_all(const layer *l, const float *from, const struct dk_run *run, float temperature)
{
    size_t rows = (size_t)l->batch * run->outer * run->inner;
#pragma omp parallel for if (rows * run->length > DK_MANY)
    for (size_t row = 0; row < rows; row++) {
        size_t place = row / run->inner * run->length * run->inner + row % run->inner;
        normalize(from + place, l->output + place, run->length, run->inner, temperature);
    }
}

static void forward_softmax(layer l, network net)
{
    const struct softmax *k = l.dk->own;
    normalize_all(&l, net.input, &k->run, k->temperature);
}

static void forward_softmax_last(layer l, network net)
{
    const struct softmax *k = l.dk->own;
    normalize_all(&l, net.input, &k->run_last, k->temperature);
}

/* The cells along `axis`, which stay together in groups. */
static struct dk_run in_groups(struct dk_run run, size_t groups)
{
    return (struct dk_run){run.outer * groups, run.length / groups, run.inner};
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
    k->run = in_groups(k->run, (size_t)groups);
    k->run_last = in_groups(dk_run_last(p->shape, axis, axis), (size_t)groups);
    k->temperature = (float)dk_real(p->options, "temperature", 1);
    l->forward = forward_softmax;
    l->dk->forward_last = forward_softmax_last;
}

static int is_ours(list *options)
{
    return dk_has(options, "axis") || dk_int(options, "spatial", 0);
}

static const struct dk_key keys[] = {
    {"groups", COUNT}, {"temperature", POSITIVE}, {"spatial", SWITCH}, {"noloss", SWITCH}, {"axis", TEXT}, END,
};
const struct dk_kind dk_kind_softmax = {"softmax", "soft", keys, dk_check_softmax, make_softmax, is_ours};
