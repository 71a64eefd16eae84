/* A convolution of a prepared network: batch norm folded into its weights, these packed for what runs it. */
#ifndef DK_CONVOLUTION_H
#define DK_CONVOLUTION_H
#include "columns.h"

struct dk_convolution {
    struct dk_filters filters;
    int channels;             /* of the input; filters.count is that of the output */
    float *weights, *biases;  /* folded; the weights as `way` wants them */
    const struct dk_way *way; /* what convolves, and `made`, what it has made for this convolution */
    void *made;
};

/* A way to convolve. Its functions but for `make` take a convolution that it has made. */
struct dk_way {
    int takes_last; /* maps are taken and given as H, W, C, else as C, H, W */
    /* Sets `made`; 0 where this way cannot be taken, or is not worth it. */
    int (*make)(struct dk_convolution *convolution);
    /* How many floats the packed weights take. */
    size_t (*packed_count)(const struct dk_convolution *convolution);
    /* Packs folded weights to convolution->weights. */
    void (*pack)(const struct dk_convolution *convolution, const float *weights);
    /* Makes ready what `run` needs with or without a sum before and a slope behind; 0 when it cannot. */
    int (*get_ready)(const struct dk_convolution *convolution, int add, int sloped);
    /* out = convolution of in, + out with `add`, of one image; what is below 0 then times slope. */
    void (*run)(const struct dk_convolution *convolution, const float *in, float *out, int add, float slope,
                float *workspace);
};

extern const struct dk_way dk_amx_way;     /* convolve_amx.c, with DK_AMX */
extern const struct dk_way dk_dots_way;    /* convolve_dots.c */
extern const struct dk_way dk_onednn_way;  /* convolve_onednn.c, with DK_ONEDNN */
extern const struct dk_way dk_product_way; /* convolve_product.c: takes every convolution */

/* The layer as a convolution, without weights yet; NULL when it is none. [connected] is one of 1 x 1 cells. */
struct dk_convolution *dk_convolution_of(const layer *l);
/* Weights of one filter. */
static inline size_t dk_taps(const struct dk_convolution *k)
{
    const struct dk_filters *f = &k->filters;
    return (size_t)(k->channels / f->groups) * (size_t)f->y.size * (size_t)f->x.size;
}
/* For ways that take weights as they are in the file, and for those that are ready for everything. */
size_t dk_count_weights(const struct dk_convolution *convolution);
void dk_copy_weights(const struct dk_convolution *convolution, const float *weights);
int dk_is_ready(const struct dk_convolution *convolution, int add, int sloped);
/* Multiplies batch norm of the layer into `weights`, which are as in the file, and computes the biases. 0 when the
 * factors are too large or small for that, and `weights` unchanged. */
int dk_fold(const layer *l, struct dk_convolution *convolution, float *weights);

/* Whether `activation` can be part of the convolution, with add also the sum with another map before it. Makes
 * ready what dk_convolve needs for it. */
int dk_can_fuse(struct dk_convolution *convolution, int add, const struct dk_activation *activation);
/* out = activation(convolution of in, + out with `add`), of one image. Activations that cannot be fused are
 * left out. */
void dk_convolve(struct dk_convolution *convolution, const float *in, float *out, int add,
                 const struct dk_activation *activation, float *workspace);

/* x above 0 and slope * x else; of -inf and slope 0 it makes 0, not NaN. */
static inline float dk_sloped(float x, float slope)
{
    float below = slope == 0 ? 0 : slope * x;
    return x <= 0 ? below : x;
}
/* 1 when the activation is x above 0 and slope * x else; slope 1 is none at all. */
int dk_slope_of(const struct dk_activation *activation, float *slope);

/* As dk_gemm, by the library of the build. */
dk_product dk_multiply;
#endif
