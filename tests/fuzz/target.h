/* What the parts of the fuzz target share. */
#ifndef TARGET_H
#define TARGET_H
#include <stddef.h>
#include <stdint.h>

#include "dk.h"

/* How an input wants its cfg to be used; README.md has the bytes behind it. */
struct wishes {
    int batch, failing; /* the most images; the allocation that fails, 0 for none */
    int keep_all, special_input, special_weights, own_weights, no_weights, large, images, keep_some;
    uint32_t seed;
    const uint8_t *bytes; /* the weights file itself, with own_weights */
    size_t count;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process with `words` unless `holds`. */
void must(int holds, const char *words);
/* The next of a sequence of numbers in [-1, 1); with `special` now and then one that is not finite, huge or tiny. */
float draw(uint32_t *seed, int special);
/* Numbers of a layer's values for `batch` images; -1 is the network's input. */
size_t count_of(const dk_net *net, int layer, int batch);
/* A layer's values for the last run, of `batch` images. To be freed. */
float *output_of(dk_net *net, int layer, int batch);

/* use.c: runs `net`; whether there was memory for it. */
int run(const struct wishes *w, dk_net *net, int batch);
/* Calls that dk.h forbids, each of which must say so. */
void call_badly(const struct wishes *w, dk_net *net);

/* compare.c: every layer of `net`, which keeps them all and has run, alone in `plain` from the same sources. 0 when
 * memory ran out, and the layers of `plain` are no longer those of its run. */
int compare_layers(dk_net *net, dk_net *plain, int batch);
/* `layer` of the last run of both, where rounding cannot have grown. */
void compare_outputs(dk_net *net, dk_net *plain, int layer, int batch);
#endif
