/* Shape rules of upstream's layers in sections that may also ask for a layer of ours. */
#ifndef DK_STOCK_H
#define DK_STOCK_H
#include "sections.h"

void dk_check_convolutional(const struct dk_place *place);
void dk_check_deconvolutional(const struct dk_place *place);
void dk_check_softmax(const struct dk_place *place);
void dk_check_map(const struct dk_place *place);
#endif
