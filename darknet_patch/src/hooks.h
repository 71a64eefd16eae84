/* What the patched upstream files call. */
#ifndef DK_HOOKS_H
#define DK_HOOKS_H
#include "darknet.h"

/* An activation that upstream lacks, or `stock` where apply is NULL. */
struct dk_activation {
    float (*apply)(float x, float parameter);
    float parameter;
    ACTIVATION stock;
};

/* Values of the weights file; without `loaded` they keep what they were made with. */
struct dk_values {
    float *values;
    int count, loaded;
};

/* C = alpha * op(A) op(B) + beta * C, row-major; ta and tb transpose A and B. */
typedef void dk_product(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                        int ldb, float beta, float *c, int ldc);
dk_product dk_gemm;

/* What we keep about a layer beside upstream's struct; the lowest part only for layers of our own. */
struct dk_layer {
    const char *type;
    char *name;
    void (*forward)(layer l, network net); /* what runs before `activation`; NULL without one of ours */
    struct dk_activation activation;
    /* What l.forward does before `activation`, on one image whose maps lie H, W, C, as do those of all sources;
     * NULL where that is not known. l.forward itself where the order of the values does not matter. */
    void (*forward_last)(layer l, network net);

    struct dk_convolution *convolution; /* of a prepared network */
    dk_product *multiply;               /* dk_gemm, or in a prepared network the library's */

    const network *net;
    void *own;                   /* the C file of the layer knows what */
    int *sources, source_count;  /* the layers it reads, -1: the network's input */
    struct dk_values weights[5]; /* in the order of the file */
    int weight_count;
};

list *dk_read_cfg(const char *path);
void dk_begin_net(void *section, network *net);
void dk_end_net(network *net);
/* Checks a section; makes the layer and returns 1, or returns 0 when that is upstream's to do. */
int dk_begin_layer(void *section, network *net, int index, int inputs, int c, int h, int w, layer *l);
void dk_end_layer(void *section, layer *l, int c, int h, int w);
void dk_load_layer(const layer *l, FILE *file);

#endif
