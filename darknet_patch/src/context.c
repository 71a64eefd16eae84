#include "context.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes before each allocation, so that what follows keeps its alignment. Blocks from LARGE on come straight
 * from the kernel: untouched pages cost nothing, and all go back at once when the network is freed. */
enum { HEADER = 64, LARGE = 1 << 20 };

static _Thread_local struct dk_context *current;

static struct dk_block *take(size_t bytes)
{
    if (bytes < LARGE) return calloc(1, bytes + HEADER);
    void *pages = mmap(NULL, bytes + HEADER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static void give_back(struct dk_block *block)
{
    if (block->size < LARGE) free(block);
    else munmap(block, block->size + HEADER);
}

void dk_context_init(struct dk_context *context)
{
    memset(context, 0, sizeof *context);
    context->blocks.previous = context->blocks.next = &context->blocks;
}

void dk_context_clear(struct dk_context *context)
{
    for (struct dk_undo *undo = context->undo; undo; undo = undo->next) undo->work(undo->argument);
    context->undo = NULL;
    struct dk_block *block = context->blocks.next;
    while (block != &context->blocks) {
        struct dk_block *next = block->next;
        give_back(block);
        block = next;
    }
    context->blocks.previous = context->blocks.next = &context->blocks;
    context->scratch = NULL;
    context->scratch_size = 0;
}

int dk_guarded(struct dk_context *context, void (*work)(void *), void *argument)
{
    current = context;
    context->status = DK_OK;
    context->message[0] = '\0';
    if (!setjmp(context->escape)) work(argument);
    if (context->file) fclose(context->file);
    context->file = NULL;
    current = NULL;
    return context->status;
}

struct dk_context *dk_current(void)
{
    return current;
}

void dk_fail(int status, const char *format, ...)
{
    struct dk_context *context = current;
    char place[96] = "";
    if (context->line) {
        const char *section = context->section ? context->section : "";
        snprintf(place, sizeof place, "line %d%s%.64s: ", context->line, *section ? " " : "", section);
    }
    size_t used = strlen(place);
    memcpy(context->message, place, used + 1);
    va_list values;
    va_start(values, format);
    vsnprintf(context->message + used, sizeof context->message - used, format, values);
    va_end(values);
    for (char *c = context->message; *c; c++) {
        if ((unsigned char)*c < ' ') *c = '?';
    }
    context->status = status;
    longjmp(context->escape, 1);
}

static void link_block(struct dk_block *block, size_t size)
{
    struct dk_block *ring = &current->blocks;
    block->size = size;
    block->previous = ring;
    block->next = ring->next;
    ring->next->previous = block;
    ring->next = block;
}

static void unlink_block(struct dk_block *block)
{
    block->previous->next = block->next;
    block->next->previous = block->previous;
}

static struct dk_block *block_of(void *memory)
{
    return (struct dk_block *)((char *)memory - HEADER);
}

void *dk_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - HEADER) {
        dk_fail(DK_NO_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
    }
    struct dk_block *block = take(bytes);
    if (!block) dk_fail(DK_NO_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
    link_block(block, bytes);
    return (char *)block + HEADER;
}

void *dk_realloc(void *memory, size_t size)
{
    void *grown = dk_calloc(1, size);
    if (memory) {
        size_t old = block_of(memory)->size;
        memcpy(grown, memory, old < size ? old : size);
        dk_release(memory);
    }
    return grown;
}

void dk_release(void *memory)
{
    if (!memory) return;
    unlink_block(block_of(memory));
    give_back(block_of(memory));
}

void dk_on_clear(void (*work)(void *), void *argument)
{
    struct dk_undo *undo = dk_calloc(1, sizeof *undo);
    *undo = (struct dk_undo){work, argument, current->undo};
    current->undo = undo;
}

void dk_prefer_large_pages(void *memory)
{
    struct dk_block *block = block_of(memory);
#ifdef MADV_HUGEPAGE
    if (block->size >= LARGE) madvise(block, block->size + HEADER, MADV_HUGEPAGE);
#endif
}

float *dk_scratch(size_t count)
{
    struct dk_context *context = current;
    if (context->scratch_size < count) {
        dk_release(context->scratch);
        context->scratch = NULL;
        context->scratch_size = 0;
        context->scratch = dk_calloc(count + 16, sizeof(float));
        context->scratch_size = count;
    }
    return (float *)(((uintptr_t)context->scratch + 63) & ~(uintptr_t)63);
}

FILE *dk_open(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) dk_fail(DK_UNREADABLE, "cannot open %.300s: %s", path, strerror(errno));
    current->file = file;
    return file;
}

int dk_close(FILE *file)
{
    current->file = NULL;
    return fclose(file);
}

size_t dk_read(void *memory, size_t size, size_t count, FILE *file)
{
    if (fread(memory, size, count, file) != count) {
        dk_fail(DK_UNREADABLE, "cannot read the file to its end: %s", ferror(file) ? strerror(errno) : "too short");
    }
    return count;
}
