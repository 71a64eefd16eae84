/* Makes a plan: which layers run, in which order of values, what is fused, what is converted. */
#include "plan.h"

#include <string.h>

struct builder {
    struct dk_plan *plan;
    network *net;
    const char *given, *kept;
    char *needed;
    int *readers;  /* of each layer's output: how many layers, and stores of others, still want it */
    int *fused_to; /* of each layer: the sum that its convolution is left to, or -1 */
};

static void find_origins(struct builder *b)
{
    int *origins = b->plan->origins;
    origins[0] = -1;
    for (int i = 0; i < b->net->n; i++) {
        const layer *l = &b->net->layers[i];
        origins[i + 1] = dk_hands_on(l) && !b->given[i + 1] ? origins[l->dk->sources[0] + 1] : i;
    }
}

static int origin(const struct builder *b, int index)
{
    return b->plan->origins[index + 1];
}

static void find_needed(struct builder *b)
{
    for (int i = b->net->n - 1; i >= 0; i--) {
        if (b->kept[i + 1]) b->needed[i + 1] = 1;
        if (!b->needed[i + 1] || b->given[i + 1]) continue;
        const struct dk_layer *l = b->net->layers[i].dk;
        for (int k = 0; k < l->source_count; k++) {
            b->needed[l->sources[k] + 1] = 1;
            if (origin(b, i) == i) b->readers[origin(b, l->sources[k]) + 1]++;
        }
        if (origin(b, i) != i && b->kept[i + 1]) b->readers[origin(b, i) + 1]++;
    }
}

/* Whether `index` is a convolution that nothing reads but one sum. */
static int is_free_convolution(const struct builder *b, int index)
{
    if (index < 0 || b->given[index + 1] || b->kept[index + 1] || b->readers[index + 1] != 1) return 0;
    const layer *l = &b->net->layers[index];
    struct dk_activation none = dk_activation_of(l);
    return l->dk->convolution && !none.apply && none.stock == LINEAR;
}

/* A convolution and the sum that reads it become one: the convolution adds to what the other side left. */
static void find_sums(struct builder *b)
{
    for (int i = 0; i < b->net->n; i++) {
        const layer *l = &b->net->layers[i];
        if (!b->needed[i + 1] || b->given[i + 1] || !dk_is_plain_sum(l)) continue;
        int p = origin(b, l->dk->sources[0]), q = origin(b, l->dk->sources[1]);
        int chosen = is_free_convolution(b, p) ? p : q;
        struct dk_activation activation = dk_activation_of(l);
        if (p == q || !is_free_convolution(b, chosen)) continue;
        if (dk_can_fuse(b->net->layers[chosen].dk->convolution, 1, &activation)) b->fused_to[chosen + 1] = i;
    }
}

static struct dk_step *add_step(struct builder *b, enum dk_step_kind kind, int index, int from, int to)
{
    struct dk_plan *plan = b->plan;
    int now = plan->step_count++;
    if (now % 64 == 0) plan->steps = dk_realloc(plan->steps, (size_t)(now + 64) * sizeof *plan->steps);
    plan->steps[now] = (struct dk_step){.kind = kind, .layer = index, .after = index, .from = from, .to = to};
    int touched[] = {from, to};
    for (int i = 0; i < 2; i++) {
        if (touched[i] < 0) continue;
        struct dk_value *value = &plan->values[plan->values[touched[i]].same];
        if (value->first < 0) value->first = now;
        value->last = now;
        plan->values[touched[i]].first = value->first;
    }
    return &plan->steps[now];
}

/* The value in that order, converted if it is not there yet. */
static int want(struct builder *b, int index, enum dk_order order)
{
    int value = dk_value_of(b->plan, index, order), other = value ^ 1;
    if (b->plan->values[value].first < 0) add_step(b, CONVERT, dk_layer_of(value), other, value);
    return value;
}

/* How a convolution takes and gives maps. */
static enum dk_order order_of(const layer *l)
{
    return l->dk->convolution->way->takes_last ? LAST : FIRST;
}

static void add_convolution(struct builder *b, int index)
{
    const layer *l = &b->net->layers[index];
    struct dk_convolution *k = l->dk->convolution;
    enum dk_order order = order_of(l);
    struct dk_activation activation = dk_activation_of(l);
    int from = want(b, l->dk->sources[0], order);
    struct dk_step *step = add_step(b, CONVOLVE, index, from, dk_value_of(b->plan, index, order));
    step->fused = dk_can_fuse(k, 0, &activation);
    if (!step->fused) k->way->get_ready(k, 0, 0);
}

/* The sum of layer `index`, done by the convolution `chosen` on top of the other side. */
static void add_sum(struct builder *b, int index, int chosen)
{
    enum dk_order order = order_of(&b->net->layers[chosen]);
    const int *sources = b->net->layers[index].dk->sources;
    int p = origin(b, sources[0]), other = p == chosen ? origin(b, sources[1]) : p;
    int source = origin(b, b->net->layers[chosen].dk->sources[0]);
    int from = want(b, source, order), rest = want(b, other, order);
    int to = dk_value_of(b->plan, index, order);
    /* Nobody else may want the other side: the convolution, if it is that which it reads, counts as one who does. */
    int in_place = b->readers[other + 1] == 1 && !b->given[other + 1];
    if (in_place) b->plan->values[to].same = b->plan->values[rest].same;
    else add_step(b, COPY, other, rest, to);
    struct dk_step *step = add_step(b, CONVOLVE, chosen, from, to);
    step->after = index;
    step->add = step->fused = 1;
    b->readers[source + 1]--;
}

/* H, W, C where the layer can and a source lies so already. */
static enum dk_order choose_order(const struct builder *b, const layer *l)
{
    for (int i = 0; l->dk->forward_last && i < l->dk->source_count; i++) {
        int value = dk_value_of(b->plan, l->dk->sources[i], LAST);
        if (dk_order_of(value) == LAST && b->plan->values[value].first >= 0) return LAST;
    }
    return FIRST;
}

static void add_forward(struct builder *b, int index)
{
    const layer *l = &b->net->layers[index];
    enum dk_order order = choose_order(b, l);
    for (int i = 0; i < l->dk->source_count; i++) want(b, l->dk->sources[i], order);
    struct dk_step *step = add_step(b, FORWARD, index, -1, dk_value_of(b->plan, index, order));
    step->order = order;
    for (int i = 0; i < l->dk->source_count; i++) {
        int value = dk_value_of(b->plan, l->dk->sources[i], order);
        b->plan->values[b->plan->values[value].same].last = b->plan->step_count - 1;
    }
}

/* The convolution that this layer's sum was left to, or -1. */
static int convolution_of_sum(const struct builder *b, int index)
{
    const struct dk_layer *l = b->net->layers[index].dk;
    for (int i = 0; i < l->source_count; i++) {
        int source = origin(b, l->sources[i]);
        if (b->fused_to[source + 1] == index) return source;
    }
    return -1;
}

static void add_layer(struct builder *b, int index)
{
    const struct dk_layer *l = b->net->layers[index].dk;
    if (origin(b, index) == index && b->fused_to[index + 1] < 0) {
        int chosen = convolution_of_sum(b, index);
        if (chosen >= 0) add_sum(b, index, chosen);
        else if (l->convolution) add_convolution(b, index);
        else add_forward(b, index);
        for (int i = 0; i < l->source_count; i++) b->readers[origin(b, l->sources[i]) + 1]--;
    }
    if (!b->kept[index + 1]) return;
    int first = dk_value_of(b->plan, index, FIRST), is_there = b->plan->values[first].first >= 0;
    add_step(b, KEEP, index, is_there ? first : dk_value_of(b->plan, index, LAST), -1);
}

static void begin_values(struct builder *b)
{
    struct dk_plan *plan = b->plan;
    for (int v = 0; v < 2 * (b->net->n + 1); v++) {
        int index = dk_layer_of(v);
        size_t count = (size_t)(index < 0 ? b->net->inputs : b->net->layers[index].outputs);
        int ready = b->given[index + 1] && dk_order_of(v) == FIRST;
        plan->values[v] = (struct dk_value){.count = count, .same = v, .first = ready ? 0 : -1, .stored = ready};
    }
}

struct dk_plan *dk_make_plan(network *net, const char *given, const char *kept)
{
    size_t layers = (size_t)net->n + 1;
    struct dk_plan *plan = dk_calloc(1, sizeof *plan);
    struct builder b = {.plan = plan, .net = net, .given = given, .kept = kept};
    plan->net = net;
    plan->values = dk_calloc(2 * layers, sizeof *plan->values);
    plan->origins = dk_calloc(layers, sizeof *plan->origins);
    b.needed = dk_calloc(layers, sizeof *b.needed);
    b.readers = dk_calloc(layers, sizeof *b.readers);
    b.fused_to = dk_calloc(layers, sizeof *b.fused_to);
    memset(b.fused_to, -1, layers * sizeof *b.fused_to);
    find_origins(&b);
    find_needed(&b);
    find_sums(&b);
    begin_values(&b);
    for (int i = 0; i < net->n; i++) {
        if (b.needed[i + 1] && !given[i + 1]) add_layer(&b, i);
    }
    dk_place_values(plan);
    plan->arena = dk_calloc(plan->arena_count + 16, sizeof(float));
    dk_prefer_large_pages(plan->arena); /* not so the weights: 3 % of a run are not worth 0.2 to 1.2 s of loading */
    dk_release(b.needed);
    dk_release(b.readers);
    dk_release(b.fused_to);
    return plan;
}

void dk_release_plan(struct dk_plan *plan)
{
    if (!plan) return;
    dk_release(plan->steps);
    dk_release(plan->values);
    dk_release(plan->origins);
    dk_release(plan->arena);
    dk_release(plan);
}
