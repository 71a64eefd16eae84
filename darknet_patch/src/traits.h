/* What a plan asks about layers. */
#ifndef DK_TRAITS_H
#define DK_TRAITS_H
#include "hooks.h"

/* Notes the sources of upstream's layers as those of ours are noted already, in l->dk->sources. */
void dk_note_sources(network *net);
/* Whether the layer's output is its only source as it is. */
int dk_hands_on(const layer *l);
/* Whether the layer is the sum of two maps of one shape, neither scaled, and an activation. */
int dk_is_plain_sum(const layer *l);
struct dk_activation dk_activation_of(const layer *l);
/* Memory of the layer's output, which stays NULL until a plan lends some. */
void dk_drop_output(layer *l);
#endif
