/* What one input may take of the machine, and what it must have given back. The linker leads calloc, mmap,
 * munmap, fopen and fclose here (--wrap). */
#ifndef LIMITS_H
#define LIMITS_H
#include <stddef.h>

/* From now on `bytes` can be had; allocation number `failing`, from 1, fails (0: none does). */
void limits_set(size_t bytes, int failing);
/* How many allocations have been refused so far. */
int limits_refused(void);
/* Mapped regions and open files not yet given back. What calloc gave is the leak checker's to watch. */
int limits_held(void);
#endif
