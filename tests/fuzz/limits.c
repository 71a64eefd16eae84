#include "limits.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

void *__real_calloc(size_t count, size_t size);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t size);
FILE *__real_fopen(const char *path, const char *mode);
int __real_fclose(FILE *file);

static size_t room = (size_t)-1;
static int countdown, refused, held;

void limits_set(size_t bytes, int failing)
{
    room = bytes;
    countdown = failing;
}

int limits_refused(void)
{
    return refused;
}

int limits_held(void)
{
    return held;
}

static int allowed(size_t bytes)
{
    if ((countdown && !--countdown) || bytes > room) {
        errno = ENOMEM;
        refused++;
        return 0;
    }
    room -= bytes;
    return 1;
}

void *__wrap_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return allowed(bytes) ? __real_calloc(count, size) : NULL;
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    void *pages = allowed(size) ? __real_mmap(address, size, protection, flags, file, offset) : MAP_FAILED;
    held += pages != MAP_FAILED;
    return pages;
}

int __wrap_munmap(void *address, size_t size)
{
    held--;
    return __real_munmap(address, size);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    FILE *file = __real_fopen(path, mode);
    held += file != NULL;
    return file;
}

int __wrap_fclose(FILE *file)
{
    held--;
    return __real_fclose(file);
}
