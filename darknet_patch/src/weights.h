#ifndef DK_WEIGHTS_H
#define DK_WEIGHTS_H
#include <stdio.h>

#include "darknet.h"

/* Fails unless the file has exactly the bytes that the network's layers ask for. */
void dk_check_weights(const network *net, const char *path);
/* Opens such a file behind its header. transposed: how the matrices of [connected] lie. */
FILE *dk_open_weights(const char *path, int *transposed);
#endif
