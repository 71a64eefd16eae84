/* The fuzz target: a cfg, a weights file and a way to use them. Fails on what the sanitizers see, on a broken
 * promise of dk.h, on something not given back, and on values that depend on the way a network runs. */
#define _GNU_SOURCE /* memfd_create */
#include "target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "limits.h"

/* Bytes that a network may take. The small room keeps a run short. */
enum { HEADER = 20, ROOM = 1 << 19, LARGE_ROOM = 1 << 23 };

void must(int holds, const char *words)
{
    if (holds) return;
    fprintf(stderr, "it does not hold that %s\n", words);
    abort();
}

float draw(uint32_t *seed, int special)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, 1e-40F, -0.0F, 0};
    *seed = *seed * 1664525U + 1013904223U;
    uint32_t bits = *seed >> 8;
    if (special && bits % 7 == 0) return values[bits / 7 % 8];
    return (float)bits / (1 << 23) - 1;
}

/* A file that lives in memory, and the path that opens it. */
struct file {
    int number;
    char path[40];
};

static struct file cfg, weights;

static void fill(struct file *file, const void *bytes, size_t count)
{
    if (!file->path[0]) {
        file->number = memfd_create("fuzz", 0);
        snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->number);
    }
    must(file->number >= 0 && !ftruncate(file->number, 0), "there is a file in memory");
    must(pwrite(file->number, bytes, count, 0) == (ssize_t)count, "a file can be written");
}

static char message[640];

enum way { PREPARED, KEEPING_ALL, PLAIN };

static int load(const struct wishes *w, const char *path, enum way way, dk_net **net)
{
    dk_options options = {.batch = w->batch, .threads = 1, .plain = way == PLAIN, .keep_layers = way == KEEPING_ALL,
                          .no_amx = w->seed % 32 >= 24};
    memset(message, 'x', sizeof message);
    limits_set(w->large ? LARGE_ROOM : ROOM, w->failing);
    int status = dk_load(cfg.path, path, &options, net, message, sizeof message);
    must(memchr(message, '\0', sizeof message) != NULL, "a message ends");
    must((status == DK_OK) == (*net != NULL), "there is a network if there is no error");
    must((status == DK_OK) == (message[0] == '\0'), "errors and only errors have words");
    for (const char *c = message; *c; c++) must((unsigned char)*c >= ' ', "words are printable");
    return status;
}

/* The length that the weights file must have, 0 when the cfg is refused. */
static size_t weights_bytes(const struct wishes *w)
{
    dk_net *net;
    size_t bytes = 0;
    fill(&weights, "", 0);
    int status = load(w, weights.path, PLAIN, &net);
    must(status != DK_OK, "an empty weights file is refused");
    if (status != DK_BAD_WEIGHTS) return 0;
    const char *words = strstr(message, "expected ");
    must(words && sscanf(words, "expected %zu bytes", &bytes) == 1, "the message names the length");
    return bytes;
}

/* Numbers from 0.25 to 1, with an odd seed of both signs: variances among them neither vanish nor explode. */
static void make_weights(const struct wishes *w, size_t bytes)
{
    static const int32_t header[] = {0, 2, 0, 0, 0};
    size_t count = (bytes - HEADER) / sizeof(float);
    char *content = malloc(bytes);
    must(content && bytes == HEADER + count * sizeof(float), "the length is one of a weights file");
    memcpy(content, header, HEADER);
    uint32_t seed = w->seed;
    for (size_t i = 0; i < count; i++) {
        float value = draw(&seed, w->special_weights);
        if (!w->special_weights) value = copysignf(0.625F + value * 0.375F, w->seed % 2 ? value : 1);
        memcpy(content + HEADER + i * sizeof value, &value, sizeof value);
    }
    fill(&weights, content, bytes);
    free(content);
}

/* Where batch norm divides by almost nothing, nothing can be said about the digits that are left. */
static int is_tame(const struct wishes *w)
{
    return !w->special_weights && !w->no_weights;
}

static int can_be_read(dk_net *net, int layer, int batch)
{
    size_t count = count_of(net, layer, batch);
    float *values = malloc(count * sizeof *values);
    int status = dk_output(net, layer, values, count);
    free(values);
    must(status == DK_OK || status == DK_BAD_CALL, "a layer is kept or not");
    return status == DK_OK;
}

/* Loads and runs once more, beside `plain`, which has run, or NULL. Whether values of `plain` are still those of its
 * run. */
static int use(const struct wishes *w, const char *path, enum way way, dk_net *plain)
{
    dk_net *net;
    int status = load(w, path, way, &net);
    must(status == DK_OK || status == DK_NO_MEMORY, "what loads in one way loads in the other");
    if (status != DK_OK) return 1;
    int last = dk_layer_count(net) - 1, some[] = {last / 2, -1, last / 3}, kept = last, is_whole = 1;
    if (w->keep_some) {
        if (w->seed % 2) run(w, net, 1);
        status = dk_keep(net, some, 3);
        must(status == DK_OK || status == DK_NO_MEMORY, "layers can be kept");
        if (status == DK_OK) kept = some[0];
    }
    if (w->seed % 4 == 3) call_badly(w, net);
    if (w->seed % 8 == 5) dk_forward_layer(net, last / 2, 1);
    if (run(w, net, w->batch) && is_tame(w) && plain) {
        is_whole = way != KEEPING_ALL || compare_layers(net, plain, w->batch);
        for (int layer = 0; is_whole && layer <= last; layer++) {
            if (can_be_read(net, layer, w->batch)) compare_outputs(net, plain, layer, w->batch);
            else must(way == PREPARED && layer < last && layer != kept, "a kept layer can be read");
        }
    }
    dk_free(net);
    return is_whole;
}

static void use_in_all_ways(const struct wishes *w, const char *path)
{
    dk_net *plain;
    int status = load(w, path, PLAIN, &plain);
    must(status == DK_OK || status == DK_NO_MEMORY, "a good cfg is loaded");
    int ran = status == DK_OK && run(w, plain, w->batch);
    use(w, path, PREPARED, ran ? plain : NULL);
    if (w->keep_all) ran = use(w, path, KEEPING_ALL, ran ? plain : NULL) && ran;
    if (ran) use(w, path, PLAIN, plain);
    dk_free(plain);
}

static void try(const struct wishes *w)
{
    struct wishes calm = *w;
    calm.failing = 0;
    size_t bytes = weights_bytes(&calm);
    if (!bytes) return;
    make_weights(w, bytes);
    const char *path = w->no_weights ? NULL : weights.path;
    if (w->failing) use_in_all_ways(w, path);
    use_in_all_ways(&calm, path);
}

static void try_own_weights(const struct wishes *w)
{
    fill(&weights, w->bytes, w->count);
    for (enum way way = PREPARED; way <= PLAIN; way++) {
        dk_net *net;
        if (load(w, weights.path, way, &net) == DK_OK) run(w, net, w->batch);
        dk_free(net);
    }
}

static struct wishes read_wishes(const uint8_t *bytes, size_t count)
{
    uint8_t b[4] = {1, 1, 0, 0};
    size_t known = count < sizeof b ? count : sizeof b;
    if (known) memcpy(b, bytes, known);
    return (struct wishes){
        .batch = 1 + b[0] % 3, .failing = b[2], .keep_all = b[1] & 1, .special_input = b[1] & 2,
        .special_weights = b[1] & 4, .own_weights = b[1] & 8, .no_weights = b[1] & 16, .large = b[1] & 32,
        .images = b[1] & 64, .keep_some = b[1] & 128, .seed = b[3], .bytes = bytes + known, .count = count - known,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
    size_t length = end ? (size_t)(end - data) : size, rest = size - length - !!end;
    struct wishes w = read_wishes(data + size - rest, rest);
    fill(&cfg, data, length);
    int held = limits_held();
    if (w.own_weights) try_own_weights(&w);
    else try(&w);
    limits_set(SIZE_MAX, 0);
    must(limits_held() == held, "every file and every page is given back");
    return 0;
}
