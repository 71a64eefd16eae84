/* Products of float32 by the matrix unit AMX, which multiplies bfloat16.
 *
 * Every float is cut into three bfloat16 of 8 bits each, x = high + middle + low, without loss. Of the nine
 * products of two such numbers the six largest are summed, in float32. Those left out are together at most
 * 2^-23 of the product and of either sign: no more than what float32 loses by rounding. Parts and products below
 * 1.2e-38 count as 0, numbers above 3.39e38 as infinite; what has an infinity in it may come out as NaN.
 */
#ifndef DK_AMX_TILES_H
#define DK_AMX_TILES_H
#include <stddef.h>

#if defined(__AMX_BF16__) && defined(__AVX512F__) && defined(__linux__)
#define DK_AMX

/* A tile is 16 rows of 64 bytes. Sums are of blocks of SIDE pixels x SIDE filters; a group is SIDE terms of each
 * sum, a chunk at most CHUNK groups. */
enum { SIDE = 32, ROW = 64, TILE = 16 * ROW, PARTS = 3, CHUNK = 4 };
enum { BLOCK = SIDE * SIDE, GROUP = PARTS * 2 * TILE }; /* floats of a group of weights, its bytes when cut */

/* Sums of a block of pixels that are to be added to the output. */
struct dk_sums {
    const float *values; /* [pixels][SIDE] */
    float *out;
    const float *biases; /* NULL but for the first of all sums */
    int pixels, width, filters; /* width: how many of the block's filters there are; filters: of the output */
    int add;
    float slope; /* 1 but for the last of all sums */
};

/* A chunk to multiply. */
struct dk_chunk {
    const char *pixels[CHUNK], *weights; /* cut */
    size_t stride;                       /* bytes from one part of the pixels to the next */
    int groups;
    const char *fetch; /* `lines` cache lines for each group, which will be wanted */
    int lines;
};

/* Whether the processor has AMX, and the kernel lets this process use it. */
int dk_has_amx(void);
/* What a thread calls before and after its products. */
void dk_begin_tiles(void);
void dk_end_tiles(void);

/* to[part][pixel][SIDE], the parts `part` bytes apart: `channels` numbers, at most SIDE, of each of `count` pixels,
 * which lie `step` floats apart. from NULL: zeros. */
void dk_cut_pixels(const float *from, ptrdiff_t step, int count, int channels, char *to, size_t part);
/* to[group][part][half of the filters][tile], from[group][half][term 0 to 15][that one, that + 16][16 filters] */
void dk_cut_weights(const float *from, int groups, char *to);
/* sums[SIDE or, not two, 16 pixels][SIDE] of one chunk; `before` is delivered on the way. */
void dk_multiply_chunk(const struct dk_chunk *chunk, int two, float *sums, const struct dk_sums *before);
void dk_deliver(const struct dk_sums *sums);
#else
static inline int dk_has_amx(void)
{
    return 0;
}
#endif
#endif
