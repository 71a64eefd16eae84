/* The functions of dk.h that load networks and tell about them. */
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "net.h"
#include "weights.h"

network *parse_network_cfg(char *filename);

struct load {
    dk_net *net;
    const char *cfg, *weights;
    const dk_options *options;
};

int dk_call(dk_net *net, void (*work)(void *), void *argument)
{
#ifdef _OPENMP
    int before = omp_get_max_threads();
    omp_set_num_threads(net->threads);
    int status = dk_guarded(&net->context, work, argument);
    omp_set_num_threads(before);
    return status;
#else
    return dk_guarded(&net->context, work, argument);
#endif
}

/* Asked once, at load: what was made ready for so many threads then runs on no other number. */
static int all_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static void load(void *argument)
{
    struct load *job = argument;
    dk_net *net = job->net;
    net->net = parse_network_cfg((char *)job->cfg);
    net->context.section = NULL; /* its text went with the cfg */
    const network *n = net->net;
    net->input = n->c ? (dk_shape){n->c, n->h, n->w} : (dk_shape){n->inputs, 1, 1};
    dk_note_sources(net->net);
    if (job->weights) dk_check_weights(net->net, job->weights);
    if (!job->options->plain) {
        net->prepared = dk_prepare(net->net, job->weights, net->max_batch, job->options->keep_layers);
    } else if (job->weights) {
        load_weights(net->net, (char *)job->weights);
    }
}

int dk_load(const char *cfg, const char *weights, const dk_options *options, dk_net **out, char *message, size_t size)
{
    dk_net *net = calloc(1, sizeof *net);
    int status = DK_NO_MEMORY;
    const char *words = "out of memory";
    *out = NULL;
    int possible = options->batch >= 1 && options->threads >= 0;
    if (net && !possible) {
        status = DK_BAD_CALL;
        words = options->batch < 1 ? "batch must be at least 1" : "threads must be at least 1, or 0 for all cores";
    } else if (net) {
        struct load job = {net, cfg, weights, options};
        dk_context_init(&net->context);
        net->max_batch = net->batch = options->batch;
        net->threads = options->threads ? options->threads : all_threads();
        net->context.no_amx = options->no_amx;
        net->context.max_batch = options->plain ? options->batch : 1; /* prepared: one image after another */
        status = dk_call(net, load, &job);
        words = net->context.message;
    }
    if (size) {
        message[0] = '\0';
        if (status != DK_OK) strncat(message, words, size - 1);
    }
    if (status == DK_OK) {
        *out = net;
        return status;
    }
    if (net && possible) dk_context_clear(&net->context);
    free(net);
    return status;
}

void dk_free(dk_net *net)
{
    if (!net) return;
    dk_context_clear(&net->context);
    free(net);
}

const char *dk_message(const dk_net *net)
{
    return net->context.message;
}

int dk_layer_count(const dk_net *net)
{
    return net->net->n;
}

const layer *dk_find_layer(const dk_net *net, int index)
{
    return index >= 0 && index < net->net->n ? &net->net->layers[index] : NULL;
}

const char *dk_layer_name(const dk_net *net, int index)
{
    const layer *l = dk_find_layer(net, index);
    if (!l) return NULL;
    return l->dk->name ? l->dk->name : "";
}

const char *dk_layer_type(const dk_net *net, int index)
{
    const layer *l = dk_find_layer(net, index);
    return l ? l->dk->type : NULL;
}

int dk_layer_shape(const dk_net *net, int index, dk_shape *shape)
{
    const layer *l = dk_find_layer(net, index);
    if (!l && index != -1) return DK_BAD_CALL;
    if (!l) *shape = net->input;
    else if (l->out_c) *shape = (dk_shape){l->out_c, l->out_h, l->out_w};
    else *shape = (dk_shape){l->outputs, 1, 1};
    return DK_OK;
}

int dk_layer_sources(const dk_net *net, int index, int *sources, int room)
{
    const layer *l = dk_find_layer(net, index);
    if (!l) return -1;
    for (int i = 0; i < l->dk->source_count && i < room; i++) sources[i] = l->dk->sources[i];
    return l->dk->source_count;
}
