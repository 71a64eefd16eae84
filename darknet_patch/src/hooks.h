/* What the patched upstream files call. */
#ifndef DK_HOOKS_H
#define DK_HOOKS_H
#include "darknet.h"

/* What we keep about a layer beside upstream's struct. Windows count cells of padding per side. */
struct dk_layer {
    const char *type;
    char *name;
    int axis, begin;                                            /* slice: 0 channels, 1 height, 2 width */
    int size_h, size_w, stride_h, stride_w, pad_top, pad_left;  /* maxpool */
};

list *dk_read_cfg(const char *path);
void dk_begin_net(void *section, network *net);
void dk_end_net(network *net);
void dk_begin_layer(void *section, network *net, int index, int inputs, int c, int h, int w);
void dk_end_layer(void *section, layer *l, int c, int h, int w);

layer dk_parse_slice(list *options, int batch, int c, int h, int w);
layer dk_parse_maxpool(list *options, int batch, int c, int h, int w);

/* C = alpha * op(A) op(B) + beta * C, row-major; ta and tb transpose A and B. */
void dk_gemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
             float beta, float *c, int ldc);
#endif
