/* A convolution of a prepared network: batch norm folded into its weights, these packed for what runs it. */
#ifndef DK_CONVOLUTION_H
#define DK_CONVOLUTION_H
#include "columns.h"

struct dk_convolution {
    struct dk_filters filters;
    int channels;            /* of the input; filters.count is that of the output */
    float *weights, *biases; /* folded; the weights as `fast` or the matrix product wants them */
    struct dk_amx *amx;      /* what convolves, if not NULL: the first of these two, which take and give maps as */
    struct dk_onednn *fast;  /* H, W, C; else a matrix product, which takes and gives them as C, H, W */
};

/* The layer as a convolution, without weights yet; NULL when it is none. [connected] is one of 1 x 1 cells. */
struct dk_convolution *dk_convolution_of(const layer *l);
/* How many floats the packed weights take. */
size_t dk_packed_count(const struct dk_convolution *convolution);
/* Multiplies batch norm of the layer into `weights`, which are as in the file, and computes the biases. 0 when the
 * factors are too large or small for that, and `weights` unchanged. */
int dk_fold(const layer *l, struct dk_convolution *convolution, float *weights);
/* Packs folded weights to `to`, which stays theirs. */
void dk_pack(struct dk_convolution *convolution, const float *weights, float *to);

/* Whether maps are taken and given as H, W, C. */
int dk_takes_last(const struct dk_convolution *convolution);
/* Whether `activation` can be part of the convolution, with add also the sum with another map before it. Makes
 * ready what dk_convolve needs for it. */
int dk_can_fuse(struct dk_convolution *convolution, int add, const struct dk_activation *activation);
/* out = activation(convolution of in, + out with `add`), of one image. Activations that cannot be fused are
 * left out. */
void dk_convolve(struct dk_convolution *convolution, const float *in, float *out, int add,
                 const struct dk_activation *activation, float *workspace);

/* 1 when the activation is x above 0 and slope * x else; slope 1 is none at all. */
int dk_slope_of(const struct dk_activation *activation, float *slope);

/* As dk_gemm, by the library of the build. */
dk_product dk_multiply;

/* convolve_amx.c. NULL when the processor has no AMX, the caller wants none, or it is not
 * worth it for this one. */
struct dk_amx *dk_amx_of(const struct dk_convolution *convolution);
size_t dk_amx_packed_count(const struct dk_convolution *convolution);
void dk_amx_pack(const struct dk_convolution *convolution, const float *weights);
void dk_amx_convolve(const struct dk_convolution *convolution, const float *in, float *out, int add, float slope);

/* convolve_onednn.c. NULL when oneDNN is not there, or has no fast way for this one. */
struct dk_onednn *dk_onednn_of(const struct dk_convolution *convolution);
size_t dk_onednn_packed_count(const struct dk_onednn *fast);
void dk_onednn_pack(const struct dk_convolution *convolution, const float *weights);
int dk_onednn_ready(const struct dk_convolution *convolution, int add, int sloped);
void dk_onednn_convolve(const struct dk_convolution *convolution, const float *in, float *out, int add, float slope);
#endif
