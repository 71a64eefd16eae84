#include "amx_tiles.h"

#if defined(DK_AMX)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LANES = 16 };

/* The intrinsics of gcc 12 do not say what memory they read: all that was stored must be there before them. */
#define WRITTEN(memory) __asm__ volatile("" : : "r"(memory) : "memory")

int dk_has_amx(void)
{
    unsigned a, b, c, d, bits = 1u << 22 | 1u << 24; /* AMX-BF16, AMX-TILE */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & bits) != bits) return 0;
    return !syscall(SYS_arch_prctl, 0x1023, 18); /* ARCH_REQ_XCOMP_PERM of tile data */
}

void dk_begin_tiles(void)
{
    struct {
        unsigned char palette, start, reserved[14];
        unsigned short bytes[16];
        unsigned char rows[16];
    } tiles = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        tiles.bytes[i] = ROW;
        tiles.rows[i] = 16;
    }
    WRITTEN(&tiles);
    _tile_loadconfig(&tiles);
}

void dk_end_tiles(void)
{
    _tile_release();
}

/* Cuts 32 floats into three rows of 16 pairs, a pair being of one number of `even` and one of `odd`; the rows
 * lie `part` bytes apart. The first part is rounded, so that what the products leave out has either sign. */
static inline void cut(__m512 even, __m512 odd, char *to, size_t part)
{
    const __m512i top = _mm512_set1_epi32((int)0xffff0000), half = _mm512_set1_epi32(0x8000);
#pragma GCC unroll 3
    for (int i = 0; i < PARTS; i++) {
        __m512i low = _mm512_castps_si512(even), high = _mm512_castps_si512(odd);
        if (i == 0) {
            low = _mm512_add_epi32(low, half);
            high = _mm512_add_epi32(high, half);
        }
        __m512i pairs = _mm512_ternarylogic_epi32(_mm512_srli_epi32(low, 16), high, top, 0xf8); /* a | (b & c) */
        _mm512_store_si512(to + (size_t)i * part, pairs);
        even = _mm512_sub_ps(even, _mm512_castsi512_ps(_mm512_and_si512(low, top)));
        odd = _mm512_sub_ps(odd, _mm512_castsi512_ps(_mm512_and_si512(high, top)));
    }
}

void dk_cut_pixels(const float *from, ptrdiff_t step, int count, int channels, char *to, size_t part)
{
    unsigned mask = !from ? 0 : channels == SIDE ? ~0u : (1u << channels) - 1;
    for (int i = 0; i < count; i++, to += ROW) {
        __m512 even = _mm512_maskz_loadu_ps((__mmask16)mask, from);
        __m512 odd = _mm512_maskz_loadu_ps((__mmask16)(mask >> LANES), from + LANES);
        cut(even, odd, to, part);
        from += step;
    }
}

void dk_cut_weights(const float *from, int groups, char *to)
{
    for (int i = 0; i < groups * 2; i++) {
        char *tile = to + i / 2 * GROUP + i % 2 * TILE;
        for (int j = 0; j < 16; j++, from += 2 * LANES) {
            cut(_mm512_loadu_ps(from), _mm512_loadu_ps(from + LANES), tile + ROW * j, 2 * TILE);
        }
    }
}

/* Adds the sums of some pixels of the block. */
static inline void deliver(const struct dk_sums *sums, int begin, int end)
{
    const struct dk_sums s = *sums; /* a copy, which stores to the output cannot change */
    __m512 zero = _mm512_setzero_ps(), slope = _mm512_set1_ps(s.slope);
    for (int v = 0; v < s.width; v += LANES) {
        __mmask16 mask = (__mmask16)(s.width - v < LANES ? (1u << (s.width - v)) - 1 : 0xffff);
        __m512 bias = s.biases ? _mm512_maskz_loadu_ps(mask, s.biases + v) : zero;
        float *to = s.out + (ptrdiff_t)begin * s.filters + v;
        for (int i = begin; i < end; i++, to += s.filters) {
            __m512 x = _mm512_add_ps(_mm512_load_ps(s.values + i * SIDE + v), bias);
            if (s.add) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, to));
            if (s.slope != 1) {
                __m512 below = s.slope == 0 ? zero : _mm512_mul_ps(x, slope); /* 0, not NaN, at -inf */
                x = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, zero, _CMP_LE_OQ), below);
            }
            _mm512_mask_storeu_ps(to, mask, x);
        }
    }
}

void dk_deliver(const struct dk_sums *s)
{
    deliver(s, 0, s->pixels);
}

/* Tiles 0 to 3 are sums of 16 pixels x 16 filters, 4 and 5 are of pixels, 6 and 7 of weights. */
#define PIXELS(part) \
    _tile_loadd(4, chunk->pixels[g] + (part) * chunk->stride, ROW); \
    if (two) _tile_loadd(5, chunk->pixels[g] + (part) * chunk->stride + TILE, ROW);
#define WEIGHTS(part) \
    _tile_loadd(6, chunk->weights + g * GROUP + (part) * 2 * TILE, ROW); \
    _tile_loadd(7, chunk->weights + g * GROUP + (part) * 2 * TILE + TILE, ROW);
#define PRODUCTS \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    if (two) { \
        _tile_dpbf16ps(2, 5, 6); \
        _tile_dpbf16ps(3, 5, 7); \
    }

/* The small products first, for they lose least so. What the block before left is delivered, and weights to come
 * are fetched, while the matrix unit works. */
static inline __attribute__((always_inline)) void multiply(const struct dk_chunk *chunk, int two, float *sums,
                                                           const struct dk_sums *before)
{
    const char *fetch = chunk->fetch;
    WRITTEN(chunk);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int g = 0; g < chunk->groups; g++) {
        for (int i = 0; i < chunk->lines; i++, fetch += ROW) _mm_prefetch(fetch, _MM_HINT_T1);
        PIXELS(2) WEIGHTS(0) PRODUCTS
        deliver(before, before->pixels * g / chunk->groups, before->pixels * (g + 1) / chunk->groups);
        PIXELS(1) PRODUCTS
        WEIGHTS(1) PRODUCTS
        PIXELS(0) PRODUCTS
        WEIGHTS(2) PRODUCTS
    }
    for (int g = 0; g < chunk->groups; g++) {
        PIXELS(0) WEIGHTS(0) PRODUCTS
    }
    _tile_stored(0, sums, SIDE * sizeof(float));
    _tile_stored(1, sums + LANES, SIDE * sizeof(float));
    if (!two) return;
    _tile_stored(2, sums + LANES * SIDE, SIDE * sizeof(float));
    _tile_stored(3, sums + LANES * SIDE + LANES, SIDE * sizeof(float));
}

void dk_multiply_chunk(const struct dk_chunk *chunk, int two, float *sums, const struct dk_sums *before)
{
    if (two) multiply(chunk, 1, sums, before);
    else multiply(chunk, 0, sums, before);
}
#endif
