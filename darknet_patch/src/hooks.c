/* The hooks that parser.c calls around each section: check before, make what is ours, tidy up after. */
#include "hooks.h"

#include <string.h>

#include "context.h"
#include "last.h"

static void check_name(const struct dk_place *p)
{
    const char *name = dk_text(p->options, "name");
    int number;
    if (name && dk_whole(name, &number)) dk_fail(DK_BAD_CFG, "name=%.64s would be taken for a layer's index", name);
    for (int i = 0; name && i < p->index; i++) {
        const char *other = p->net->layers[i].dk->name;
        if (other && !strcmp(other, name)) dk_fail(DK_BAD_CFG, "name=%.64s belongs to layer %d already", name, i);
    }
}

static void make_ours(const struct dk_kind *kind, const struct dk_place *p, layer *l)
{
    l->type = OURS;
    l->activation = LINEAR;
    l->batch = dk_max_batch();
    l->c = p->shape.c;
    l->h = p->shape.h;
    l->w = p->shape.w;
    l->inputs = p->inputs;
    dk_set_shape(l, l->c, l->h, l->w);
    l->dk = dk_calloc(1, sizeof *l->dk);
    l->dk->net = p->net;
    dk_add_source(l, p->index - 1);
    kind->make(p, l);
    dk_check_size("output", l->batch, l->out_c, l->out_h, l->out_w, 1);
    l->outputs = l->out_c * l->out_h * l->out_w;
    l->output = dk_calloc((size_t)l->batch * (size_t)l->outputs, sizeof(float));
}

int dk_begin_layer(void *section, network *net, int index, int inputs, int c, int h, int w, layer *l)
{
    struct dk_section *s = section;
    dk_at_section(s);
    const struct dk_kind *kind = dk_section_kind(s);
    dk_check_keys(s);
    if (!strcmp(kind->name, "net")) dk_fail(DK_BAD_CFG, "only the first section may be [net]");
    dk_shape shape = c && h && w ? (dk_shape){c, h, w} : (dk_shape){inputs, 1, 1};
    struct dk_place place = {s->options, net, index, inputs, c, h, w, shape};
    check_name(&place);
    int ours = kind->make && (!kind->is_ours || kind->is_ours(s->options));
    if (ours) make_ours(kind, &place, l);
    else if (kind->check) kind->check(&place);
    return ours;
}

static void forward_and_activate(layer l, network net)
{
    l.dk->forward(l, net);
    dk_activate(&l.dk->activation, l.output, (size_t)l.batch * (size_t)l.outputs);
}

/* Upstream took the name of an activation of ours for an unknown one; our layers leave theirs to this. */
static void set_activation(list *options, layer *l)
{
    struct dk_activation *activation = &l->dk->activation;
    int has_alpha = strcmp(l->dk->type, "shortcut") != 0;
    activation->stock = l->activation;
    int ours = dk_our_activation(options, has_alpha, activation);
    if (!ours && (l->type != OURS || activation->stock == LINEAR)) return;
    l->activation = LINEAR;
    l->dk->forward = l->forward;
    l->forward = forward_and_activate;
}

static void drop(float **buffer)
{
    dk_release(*buffer);
    *buffer = NULL;
}

void dk_end_layer(void *section, layer *l, int c, int h, int w)
{
    struct dk_section *s = section;
    /* What only training reads; calloc gave pages that were never touched. */
    float **training[] = {&l->delta, &l->weight_updates, &l->bias_updates, &l->scale_updates, &l->x, &l->x_norm,
                          &l->mean, &l->variance, &l->mean_delta, &l->variance_delta, &l->rand, &l->loss};
    for (size_t i = 0; i < sizeof training / sizeof *training; i++) drop(training[i]);
    if (l->type == SOFTMAX) dk_set_shape(l, c, h, w); /* upstream leaves them 0 */
    /* upstream forgets that maps differ when one more is like the first */
    if (l->type == ROUTE && !l->out_h) dk_set_shape(l, 0, 0, 0);
    if (!l->dk) l->dk = dk_calloc(1, sizeof *l->dk);
    l->dk->multiply = dk_gemm;
    l->dk->type = dk_section_kind(s)->name;
    const char *name = dk_text(s->options, "name");
    if (name) {
        l->dk->name = dk_calloc(strlen(name) + 1, 1);
        strcpy(l->dk->name, name);
    }
    dk_choose_last(l);
    set_activation(s->options, l);
    dk_current()->line = 0;
}

void dk_begin_net(void *section, network *net)
{
    struct dk_section *s = section;
    dk_at_section(s);
    int is_net = !strcmp(s->type, "[net]") || !strcmp(s->type, "[network]");
    if (!is_net) dk_fail(DK_BAD_CFG, "the first section must be [net]");
    dk_check_keys(s);
    int c = dk_int(s->options, "channels", 0), h = dk_int(s->options, "height", 0);
    int w = dk_int(s->options, "width", 0), inputs = dk_int(s->options, "inputs", 0);
    if (!!c != !!h || !!c != !!w || (!c && !inputs)) {
        dk_fail(DK_BAD_CFG, "needs channels, height and width, or inputs");
    }
    if (c) dk_check_size("input", dk_max_batch(), c, h, w, 1);
    if (inputs) dk_check_size("input", dk_max_batch(), inputs, 1, 1, 1);
    if (c && inputs && inputs != c * h * w) {
        dk_fail(DK_BAD_CFG, "inputs=%d contradicts channels * height * width = %d", inputs, c * h * w);
    }
    (void)net;
}

/* The caller of dk_load says how many images run at once, not the cfg. */
void dk_end_net(network *net)
{
    net->batch = dk_max_batch();
    net->subdivisions = 1;
}

void dk_load_layer(const layer *l, FILE *file)
{
    for (int i = 0; i < l->dk->weight_count; i++) {
        const struct dk_values *weights = &l->dk->weights[i];
        if (weights->loaded) dk_read(weights->values, sizeof(float), (size_t)weights->count, file);
    }
}
