#ifndef DK_PACKING_H
#define DK_PACKING_H
#include "hooks.h"

/* Makes the convolutions of all layers and fills them, and the weights of all other layers, from the file, whose
 * length must be right; without a file (NULL) all weights are 0. */
void dk_pack_weights(network *net, const char *path);
#endif
