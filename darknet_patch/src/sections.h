/* The sections of the cfg as data: one row of the table in sections.c per section. */
#ifndef DK_SECTIONS_H
#define DK_SECTIONS_H
#include <limits.h>
#include <math.h>

#include "cfg.h"
#include "darknet.h"
#include "dk.h"

/* A LIST is checked by the layer that reads it, a WORD is one of the words in `words`, or any when NULL. */
enum dk_key_kind { WHOLE = 1, REAL, ACTIVATION_NAME, LIST, WORD, IGNORED };

struct dk_key {
    const char *name;
    enum dk_key_kind kind;
    double low, high;
    const char *words; /* a blank before and a comma behind each */
};

#define COUNT WHOLE, 1, INT_MAX, NULL
#define CELLS WHOLE, 0, INT_MAX, NULL
#define SIGNED WHOLE, INT_MIN, INT_MAX, NULL
#define SWITCH WHOLE, 0, 1, NULL
#define OFF WHOLE, 0, 0, NULL
#define ANY REAL, -HUGE_VAL, HUGE_VAL, NULL
#define NOT_NEGATIVE REAL, 0, HUGE_VAL, NULL
#define POSITIVE REAL, 1e-30, HUGE_VAL, NULL
#define TEXT LIST, 0, 0, NULL
#define ONE_OF(words) WORD, 0, 0, " " words ","
#define TRAINING IGNORED, 0, 0, NULL
/* alpha is elu's; [shortcut] has an alpha of its own and lists the keys without it. */
#define ACTIVATION_KEYS {"activation", ACTIVATION_NAME, 0, 0, NULL}, {"slope", ANY}, {"alpha", ANY}
#define END {NULL, 0, 0, 0, NULL}

/* A section being parsed, and what the layer before it gives: c, h, w are 0 for a flat vector, whose `shape`
 * is inputs x 1 x 1. */
struct dk_place {
    list *options;
    network *net;
    int index, inputs, c, h, w;
    dk_shape shape;
};

struct dk_kind {
    const char *name, *alias;
    const struct dk_key *keys; /* NULL: refused by name */
    /* The shape rule of a layer that upstream makes, or NULL. */
    void (*check)(const struct dk_place *place);
    /* Makes a layer of our own from its options: sets out_c, out_h, out_w where the shape changes, forward, and
     * what layers.h offers. NULL: the layer is upstream's. */
    void (*make)(const struct dk_place *place, layer *l);
    /* Whether these options ask for ours instead of upstream's; NULL: always. */
    int (*is_ours)(list *options);
};

extern const struct dk_kind *const dk_kinds[]; /* NULL at the end */
extern const struct dk_key dk_net_keys[], dk_common_keys[];

/* activations_more.c: finds what the options name; 1 when upstream lacks it or fixes its parameter, which goes
 * by slope or, unless alpha means something else in the section, alpha. Fails for a parameter that does not go
 * with the activation. Without the key `found` stays as it is. */
struct dk_activation;
int dk_our_activation(list *options, int has_alpha, struct dk_activation *found);
int dk_is_our_activation(const char *name);
const char *dk_our_activation_names(void);
void dk_activate(const struct dk_activation *activation, float *values, size_t count);
#endif
