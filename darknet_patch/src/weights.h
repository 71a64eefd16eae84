#ifndef DK_WEIGHTS_H
#define DK_WEIGHTS_H
#include "darknet.h"

/* Fails unless the file has exactly the bytes that the network's layers ask for. */
void dk_check_weights(const network *net, const char *path);
#endif
