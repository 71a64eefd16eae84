#include "traits.h"

#include "broadcast.h"
#include "layers.h"

void dk_note_sources(network *net)
{
    for (int i = 0; i < net->n; i++) {
        layer *l = &net->layers[i];
        if (l->type == OURS) continue;
        if (l->type == ROUTE) {
            for (int k = 0; k < l->n; k++) dk_add_source(l, l->input_layers[k]);
            continue;
        }
        dk_add_source(l, i - 1);
        if (l->type == SHORTCUT) dk_add_source(l, l->index);
    }
}

int dk_hands_on(const layer *l)
{
    return !l->dk->forward && (l->type == DROPOUT || (l->type == ROUTE && l->n == 1));
}

int dk_is_plain_sum(const layer *l)
{
    if (l->type == SHORTCUT) return l->alpha == 1 && l->beta == 1;
    return l->type == OURS && dk_is_plain_pair(l);
}

struct dk_activation dk_activation_of(const layer *l)
{
    if (l->dk->forward) return l->dk->activation;
    if (l->type == OURS) return (struct dk_activation){NULL, 0, LINEAR};
    return (struct dk_activation){NULL, 0, l->activation};
}

void dk_drop_output(layer *l)
{
    if (l->type != DROPOUT) dk_release(l->output); /* that of the layer before */
    l->output = NULL;
}
