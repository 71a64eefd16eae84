/* The state of one call into the library: who owns new memory, where an error jumps to, what is being read. */
#ifndef DK_CONTEXT_H
#define DK_CONTEXT_H
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>

#include "dk.h"

struct dk_block {
    struct dk_block *previous, *next;
    size_t size;
};

struct dk_undo {
    void (*work)(void *argument);
    void *argument;
    struct dk_undo *next;
};

struct dk_context {
    struct dk_block blocks; /* ring of everything allocated for this network */
    struct dk_undo *undo;   /* what to do before those are freed, the latest first */
    FILE *file;             /* the file being read, closed when an error jumps */
    jmp_buf escape;
    int status;
    char message[512];
    int line;            /* of the cfg, 0 when no cfg is being read */
    const char *section; /* with brackets, NULL before the first */
    int max_batch;
    int no_amx; /* as in dk_options */
    float *scratch;
    size_t scratch_size;
};

void dk_context_init(struct dk_context *context);
void dk_context_clear(struct dk_context *context);

/* Runs work(argument) with `context` receiving memory and errors; returns the status. */
int dk_guarded(struct dk_context *context, void (*work)(void *), void *argument);
struct dk_context *dk_current(void);

/* Records a message, led by the cfg's line and section when one is being read, and leaves the call. */
_Noreturn void dk_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory of the current context: zeroed, never NULL, freed with the network at the latest. */
void *dk_calloc(size_t count, size_t size);
void *dk_realloc(void *memory, size_t size);
void dk_release(void *memory);
/* work(argument) is done when the network is freed, before its memory goes. */
void dk_on_clear(void (*work)(void *), void *argument);
/* Asks for large pages behind a large block: fewer misses of address translation. */
void dk_prefer_large_pages(void *memory);
/* One buffer of at least `count` floats, 64-byte aligned, kept between calls; a later call may move it. */
float *dk_scratch(size_t count);

FILE *dk_open(const char *path);
int dk_close(FILE *file);
/* Reads all or fails. */
size_t dk_read(void *memory, size_t size, size_t count, FILE *file);
#endif
