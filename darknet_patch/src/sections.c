/* Every section of the cfg. A new layer is one C file that defines its dk_kind_<name>, and its name here. */
#include "sections.h"

#define SECTIONS(X) \
    X(net) X(convolutional) X(deconvolutional) X(connected) X(maxpool) X(avgpool) X(unpool) X(slice) X(route) \
    X(concat) X(reshape) X(permute) X(shortcut) X(sum) X(multiply) X(divide) X(maximum) X(matmul) X(scale) \
    X(activation) X(prelu) X(power) X(clip) X(softmax) X(batchnorm) X(instancenorm) X(l2norm) X(reduce) X(topk) \
    X(upsample) X(reorg) X(crop) X(dropout)
/* Upstream has them, this engine says so and refuses. */
#define REFUSED(X) \
    X(yolo) X(region) X(detection) X(iseg) X(cost) X(local) X(logistic) X(normalization) X(rnn) X(crnn) X(gru) X(lstm)

#define DECLARE(name) extern const struct dk_kind dk_kind_##name;
SECTIONS(DECLARE)
REFUSED(DECLARE)

#define POINT(name) &dk_kind_##name,
const struct dk_kind *const dk_kinds[] = {SECTIONS(POINT) REFUSED(POINT) NULL};
