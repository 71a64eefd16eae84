/* A loaded network, as the functions of dk.h see it. */
#ifndef DK_NET_H
#define DK_NET_H
#include "context.h"
#include "darknet.h"
#include "dk.h"
#include "prepare.h"

struct dk_net {
    struct dk_context context;
    network *net;
    struct dk_prepared *prepared; /* NULL: plain */
    dk_shape input;
    int max_batch, threads;
    int batch; /* of the last run */
};

/* dk_guarded with as many threads as the network was loaded for; the caller's own number stays. */
int dk_call(dk_net *net, void (*work)(void *), void *argument);
const layer *dk_find_layer(const dk_net *net, int index); /* NULL out of range */
#endif
