/* Included before every upstream file (gcc -include): what would end the process, print, or lose memory
 * is led to context.c instead. System headers come first, so that only upstream's own calls are renamed. */
#ifndef DK_GUARD_H
#define DK_GUARD_H
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

#define malloc(size) dk_calloc(1, size)
#define calloc(count, size) dk_calloc(count, size)
#define realloc(memory, size) dk_realloc(memory, size)
#define free(memory) dk_release(memory)

#define fopen(path, mode) dk_open(path)
#define fclose(file) dk_close(file)
#define fread(memory, size, count, file) dk_read(memory, size, count, file)

/* error() of upstream's utils.c says its words with perror(). */
#define perror(words) dk_fail(DK_BAD_CFG, "%s", words)
#define exit(code) dk_fail(DK_BAD_CFG, "upstream code gave up in %s", __func__)
/* What assert() becomes when it fails. */
#define __assert_fail(rule, file, line, function) dk_fail(DK_BAD_CFG, "%s does not hold", rule)

#define printf(...) ((void)0)
#define fprintf(...) ((void)0)
#endif
