/* The C interface of the patched Darknet: load a network, run it, look inside.
 *
 * Every function that can fail returns one of enum dk_status; the words are then in the buffer given to dk_load
 * or, later, in dk_message(net). Nothing here prints, exits or aborts. A dk_net may be used by one thread at a
 * time; different nets are independent. All arrays are float32 in N, C, H, W order unless said otherwise.
 */
#ifndef DK_H
#define DK_H
#include <stddef.h>

#define DK_API __attribute__((visibility("default")))

enum dk_status {
    DK_OK = 0,
    DK_BAD_CFG = 1,     /* the cfg breaks a rule; the message names line and section */
    DK_BAD_WEIGHTS = 2, /* the weights file is of another length or kind than the cfg asks for */
    DK_UNREADABLE = 3,  /* a file cannot be opened or read */
    DK_NO_MEMORY = 4,
    DK_BAD_CALL = 5,    /* an argument of a call is out of range */
    DK_UNSUPPORTED = 6  /* a section that upstream knows and this engine refuses */
};

typedef struct dk_net dk_net;

/* C, H, W of one image at some place of the network; a flat vector of K values is {K, 1, 1}. */
typedef struct {
    int c, h, w;
} dk_shape;

/* How a uint8 image lies in memory and becomes network input: (value * scale - mean[c]) / std[c],
 * c counting the network's channels. With swap_channels the last image channel is the network's first. */
typedef struct {
    const unsigned char *data;
    int height, width, channels;
    ptrdiff_t stride_y, stride_x, stride_c; /* in bytes, may be negative */
    int swap_channels;
    double scale;
    const double *mean; /* one per channel, or NULL for 0 */
    const double *std;  /* one per channel, or NULL for 1 */
} dk_image;

/* How a network is to be loaded and run. */
typedef struct {
    int batch;       /* the most images of one run */
    int threads;     /* that one run may use; 0: OMP_NUM_THREADS, else one per core */
    int plain;       /* 1: upstream's way, layer after layer, as a reference; 0: prepared for inference */
    int keep_layers; /* 1: every layer's output stays, as with plain; 0: the last one's, and what dk_keep names */
    int no_amx;      /* 1: convolve without AMX, also where the processor has it */
} dk_options;

/* Reads `cfg`, makes room and fills the weights; `weights` may be NULL: all weights are 0. `message`, of `size`
 * bytes, receives the words of an error. */
DK_API int dk_load(const char *cfg, const char *weights, const dk_options *options, dk_net **net, char *message,
                   size_t size);
DK_API void dk_free(dk_net *net);
DK_API const char *dk_message(const dk_net *net);

DK_API int dk_layer_count(const dk_net *net);
DK_API const char *dk_layer_name(const dk_net *net, int layer); /* "" without a name= key; NULL out of range */
DK_API const char *dk_layer_type(const dk_net *net, int layer); /* the section's full name, without brackets */
/* Layer -1 is the network's input. */
DK_API int dk_layer_shape(const dk_net *net, int layer, dk_shape *shape);
/* The layers whose outputs `layer` reads (-1: the network's input), at most `room` of them; returns how many
 * there are, or -1 for a layer out of range. */
DK_API int dk_layer_sources(const dk_net *net, int layer, int *sources, int room);

/* What multiplies matrices in convolutions of prepared networks, such as "oneDNN 3.2.0". */
DK_API const char *dk_convolutions(void);

/* From the next run on these layers' outputs stay too. They are no longer fused into what follows them. */
DK_API int dk_keep(dk_net *net, const int *layers, int count);

/* Runs `batch` images, 1 to the batch of dk_load. `input` NULL: what dk_put_image or dk_set_output(-1) left. */
DK_API int dk_predict(dk_net *net, const float *input, int batch);
/* Places an image of exactly the network's size as item `item` of the next dk_predict(net, NULL, ...). */
DK_API int dk_put_image(dk_net *net, int item, const dk_image *image);
/* Copies a layer's output, which must be a kept one, for the images of the last run; `count` must be
 * batch * C * H * W. */
DK_API int dk_output(dk_net *net, int layer, float *values, size_t count);
/* For each image of the last run, by how much the last kept score of a [topk] layer beats the best dropped one. */
DK_API int dk_topk_margins(dk_net *net, int layer, float *margins, size_t count);

/* One layer alone: give every source with dk_set_output (-1: the network's input), run, read dk_output. */
DK_API int dk_set_output(dk_net *net, int layer, const float *values, int batch);
DK_API int dk_forward_layer(dk_net *net, int layer, int batch);
#endif
