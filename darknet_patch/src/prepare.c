#include "prepare.h"

#include <string.h>

#include "packing.h"
#include "topk.h"

struct dk_prepared {
    network *net;
    int batch;
    dk_stores stores;
    char *kept;      /* as stores: [0] is the input */
    char *fresh;     /* likewise: holds what the last run made, or what was set or run alone since */
    float **margins; /* of [topk] layers */
    struct dk_plan *plan; /* NULL until the next run */
};

static size_t count_of(const network *net, int index)
{
    return (size_t)(index < 0 ? net->inputs : net->layers[index].outputs);
}

float *dk_kept_output(const struct dk_prepared *p, int index)
{
    return p->fresh[index + 1] ? p->stores[index + 1] : NULL;
}

float *dk_room_for_output(struct dk_prepared *p, int index)
{
    float **store = &p->stores[index + 1];
    if (!*store) *store = dk_calloc((size_t)p->batch * count_of(p->net, index), sizeof **store);
    p->fresh[index + 1] = 1;
    return *store;
}

void dk_keep_output(struct dk_prepared *p, int index)
{
    if (index < 0 || p->kept[index + 1]) return;
    char fresh = p->fresh[index + 1];
    dk_room_for_output(p, index);
    p->fresh[index + 1] = fresh;
    p->kept[index + 1] = 1;
    dk_release_plan(p->plan);
    p->plan = NULL;
}

const float *dk_kept_margins(const struct dk_prepared *p, int index)
{
    return p->margins[index];
}

static void make_plan(struct dk_prepared *p)
{
    char *given = dk_calloc((size_t)p->net->n + 1, 1);
    given[0] = 1;
    p->plan = dk_make_plan(p->net, given, p->kept);
    dk_release(given);
}

struct dk_prepared *dk_prepare(network *net, const char *weights, int batch, int keep_all)
{
    size_t layers = (size_t)net->n + 1;
    struct dk_prepared *p = dk_calloc(1, sizeof *p);
    p->net = net;
    p->batch = batch;
    p->stores = dk_calloc(layers, sizeof *p->stores);
    p->kept = dk_calloc(layers, 1);
    p->fresh = dk_calloc(layers, 1);
    p->margins = dk_calloc(layers, sizeof *p->margins);
    dk_release(net->input);
    net->input = net->output = NULL;
    for (int i = 0; i < net->n; i++) {
        net->layers[i].dk->multiply = dk_multiply;
        dk_drop_output(&net->layers[i]);
        if (dk_topk_margins_of(&net->layers[i])) p->margins[i] = dk_calloc((size_t)batch, sizeof(float));
    }
    dk_pack_weights(net, weights);
    dk_room_for_output(p, -1);
    for (int i = 0; i < net->n; i++) {
        int is_asked_for = p->margins[i] != NULL; /* margins, after any run */
        if (keep_all || i == net->n - 1 || is_asked_for) dk_keep_output(p, i);
    }
    make_plan(p);
    return p;
}

void dk_run_prepared(struct dk_prepared *p, int batch)
{
    if (!p->plan) make_plan(p);
    memcpy(p->fresh, p->kept, (size_t)p->net->n + 1);
    p->fresh[0] = 1;
    for (int item = 0; item < batch; item++) dk_run_plan(p->plan, p->stores, p->margins, item);
}

void dk_run_alone(struct dk_prepared *p, int index, int batch)
{
    const struct dk_layer *l = p->net->layers[index].dk;
    size_t layers = (size_t)p->net->n + 1;
    char *given = dk_calloc(layers, 1), *kept = dk_calloc(layers, 1);
    for (int i = 0; i < l->source_count; i++) {
        dk_room_for_output(p, l->sources[i]);
        given[l->sources[i] + 1] = 1;
    }
    dk_room_for_output(p, index);
    kept[index + 1] = 1;
    struct dk_plan *plan = dk_make_plan(p->net, given, kept);
    for (int item = 0; item < batch; item++) dk_run_plan(plan, p->stores, p->margins, item);
    dk_release_plan(plan);
    dk_release(given);
    dk_release(kept);
}
