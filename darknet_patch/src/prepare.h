/* A network prepared for inference: weights folded and packed, memory planned, nothing else kept. */
#ifndef DK_PREPARE_H
#define DK_PREPARE_H
#include "plan.h"

struct dk_prepared;

/* Takes over a network that was parsed for a batch of 1, and loads its weights; `weights` may be NULL. */
struct dk_prepared *dk_prepare(network *net, const char *weights, int batch, int keep_all);
void dk_keep_output(struct dk_prepared *prepared, int index);
/* The outputs of a layer, N, C, H, W; -1 is the network's input. NULL when the last run did not keep them. */
float *dk_kept_output(const struct dk_prepared *prepared, int index);
/* The same, making room where nothing was kept. */
float *dk_room_for_output(struct dk_prepared *prepared, int index);
const float *dk_kept_margins(const struct dk_prepared *prepared, int index);

void dk_run_prepared(struct dk_prepared *prepared, int batch);
/* Runs one layer on what its sources' rooms hold. */
void dk_run_alone(struct dk_prepared *prepared, int index, int batch);
#endif
