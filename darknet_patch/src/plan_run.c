/* Carries a plan out, one image at a time. */
#include <stdint.h>
#include <string.h>

#include "plan.h"
#include "topk.h"

struct run {
    const struct dk_plan *plan;
    dk_stores stores;
    int item;
};

static size_t count_of(const struct run *run, int index)
{
    const network *net = run->plan->net;
    return (size_t)(index < 0 ? net->inputs : net->layers[index].outputs);
}

/* A value is in the arena, or, when it was there before the run, in the store of its layer. */
static float *at(const struct run *run, int number)
{
    const struct dk_value *value = &run->plan->values[run->plan->values[number].same];
    int index = dk_layer_of(number);
    float *store = run->stores[index + 1];
    if (value->stored) return store + (size_t)run->item * count_of(run, index);
    uintptr_t arena = ((uintptr_t)run->plan->arena + 63) & ~(uintptr_t)63;
    return (float *)arena + value->offset;
}

static void convert(const struct run *run, const struct dk_step *step)
{
    dk_shape shape = dk_shape_of(run->plan->net, step->layer);
    const float *from = at(run, step->from);
    float *to = at(run, step->to);
    if (dk_order_of(step->to) == LAST) dk_to_last(from, to, shape.c, shape.h * shape.w);
    else dk_to_first(from, to, shape.c, shape.h * shape.w);
}

static void keep(const struct run *run, const struct dk_step *step)
{
    dk_shape shape = dk_shape_of(run->plan->net, step->layer);
    size_t count = count_of(run, step->layer);
    float *to = run->stores[step->layer + 1] + (size_t)run->item * count;
    const float *from = at(run, step->from);
    if (from == to) return;
    if (dk_order_of(step->from) == LAST) dk_to_first(from, to, shape.c, shape.h * shape.w);
    else memcpy(to, from, count * sizeof *to);
}

static void convolve(const struct run *run, const struct dk_step *step)
{
    network *net = run->plan->net;
    const layer *l = &net->layers[step->layer], *after = &net->layers[step->after];
    struct dk_activation activation = dk_activation_of(after), none = {NULL, 0, LINEAR};
    float *to = at(run, step->to);
    dk_convolve(l->dk->convolution, at(run, step->from), to, step->add, step->fused ? &activation : &none,
                net->workspace);
    if (!step->fused) dk_activate(&activation, to, count_of(run, step->layer));
}

static void forward(const struct run *run, const struct dk_step *step)
{
    network *shared = run->plan->net, net;
    layer *kept = &shared->layers[step->layer], l;
    float *before = NULL;
    for (int i = 0; i < kept->dk->source_count; i++) {
        int source = kept->dk->sources[i];
        float *from = at(run, dk_value_of(run->plan, source, step->order));
        if (source < 0) shared->input = from;
        else shared->layers[source].output = from;
        if (source == step->layer - 1) before = from;
    }
    kept->output = at(run, step->to);
    net = *shared;
    net.index = step->layer;
    net.input = before;
    net.truth = net.delta = NULL;
    net.train = 0;
    l = *kept;
    if (step->order == FIRST) {
        l.forward(l, net);
        return;
    }
    l.dk->forward_last(l, net);
    if (l.dk->forward) dk_activate(&l.dk->activation, l.output, (size_t)l.outputs);
}

void dk_run_plan(const struct dk_plan *plan, dk_stores stores, float **margins, int item)
{
    struct run run = {plan, stores, item};
    for (int i = 0; i < plan->step_count; i++) {
        const struct dk_step *step = &plan->steps[i];
        switch (step->kind) {
        case CONVERT:
            convert(&run, step);
            break;
        case COPY:
            memcpy(at(&run, step->to), at(&run, step->from), count_of(&run, step->layer) * sizeof(float));
            break;
        case CONVOLVE:
            convolve(&run, step);
            break;
        case FORWARD:
            forward(&run, step);
            if (margins[step->layer]) margins[step->layer][item] = *dk_topk_margins_of(&plan->net->layers[step->layer]);
            break;
        case KEEP:
            keep(&run, step);
            break;
        }
    }
}
