/* Layers on one image whose maps lie H, W, C: what the forward_last functions of struct dk_layer share. */
#ifndef DK_LAST_H
#define DK_LAST_H
#include "layers.h"

/* Channels taken at once, so that sums stay in the cache and a map of one cell is work for all threads. */
enum { DK_CHUNK = 64 };

int dk_chunks(int channels);
/* How many channels a chunk has. */
int dk_chunk_count(int channels, int chunk);

/* As dk_run_of, for maps that lie H, W, C; c goes with no other axis. */
struct dk_run dk_run_last(dk_shape shape, int first, int last);

/* Sets l->dk->forward_last of a layer that upstream made; those of ours set it themselves. */
void dk_choose_last(layer *l);
#endif
