/* The length a weights file must have: upstream reads past the end, or stops early, without a word. */
#include "weights.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "context.h"
#include "hooks.h"

static long long count_ours(const struct dk_layer *own)
{
    long long values = 0;
    for (int i = 0; i < own->weight_count; i++) values += own->weights[i].loaded ? own->weights[i].count : 0;
    return values;
}

static long long count_values(const layer *l)
{
    if (l->dontload) return 0;
    if (l->type == OURS) return count_ours(l->dk);
    long long scales = l->batch_normalize && !l->dontloadscales ? 3 : 0;
    switch (l->type) {
    case CONVOLUTIONAL:
    case DECONVOLUTIONAL:
        return (1 + scales) * l->n + l->nweights;
    case CONNECTED:
        return (1 + scales) * l->outputs + (long long)l->inputs * l->outputs;
    case BATCHNORM: /* no biases */
        return 3LL * l->c;
    default:
        return 0;
    }
}

/* Three int32 of version, then the images seen in training: 8 bytes from version 0.2 on, 4 before. Files of versions
 * over 1000 hold the matrices of [connected] transposed. */
static int header_bytes(FILE *file, int *transposed)
{
    int version[3];
    dk_read(version, sizeof *version, 3, file);
    int major = version[0], minor = version[1];
    int most = 9999; /* upstream computes with them in int */
    if (major < 0 || minor < 0 || major > most || minor > most) {
        dk_fail(DK_BAD_WEIGHTS, "no Darknet weights: the version reads %d.%d", major, minor);
    }
    int wide = major < 1000 && minor < 1000 && major * 10 + minor >= 2;
    *transposed = major > 1000 || minor > 1000;
    return wide ? 20 : 16;
}

void dk_check_weights(const network *net, const char *path)
{
    long long values = 0;
    for (int i = 0; i < net->n; i++) values += count_values(&net->layers[i]);
    FILE *file = dk_open(path);
    struct stat about;
    if (fstat(fileno(file), &about)) dk_fail(DK_UNREADABLE, "cannot read %.300s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) dk_fail(DK_UNREADABLE, "%.300s is not a file", path);
    long long found = about.st_size;
    int transposed, header = found < 12 ? 20 : header_bytes(file, &transposed);
    long long expected = header + 4 * values;
    if (found != expected) {
        dk_fail(DK_BAD_WEIGHTS, "the weights file is too %s: expected %lld bytes (a header of %d and %lld values), "
                "found %lld", found < expected ? "short" : "long", expected, header, values, found);
    }
    dk_close(file);
}

FILE *dk_open_weights(const char *path, int *transposed)
{
    FILE *file = dk_open(path);
    char seen[8];
    dk_read(seen, (size_t)header_bytes(file, transposed) - 12, 1, file);
    return file;
}
