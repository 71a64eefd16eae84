/* Matrix product for convolutions: blocked sums, accurate and fast.
 *
 * K is cut into blocks of DEPTH. Inside a block every sum stays in a register; the blocks' sums are then added
 * to C. The rounding error so grows like sqrt(K * DEPTH) instead of K. A is packed into strips of ROWS rows, B
 * into strips of VECTORS vector registers, both zero-padded, so the inner loop reads memory in order.
 */
#include <stddef.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "context.h"
#include "hooks.h"

#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 8 };
#elif defined(__AVX__)
enum { LANES = 8, ROWS = 4 };
#else
enum { LANES = 4, ROWS = 4 };
#endif
/* ROWS * VECTORS accumulators and VECTORS + 1 operands fill the register file of each kind of processor. */
enum { VECTORS = 3, STRIP = VECTORS * LANES, DEPTH = 256 };

typedef float vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

struct operand {
    const float *values;
    ptrdiff_t row, column; /* steps between neighbours */
};

static int min(int a, int b)
{
    return a < b ? a : b;
}

static int strips(int cells, int strip)
{
    return (cells + strip - 1) / strip;
}

/* The operand from this row and column on. */
static struct operand at(struct operand whole, int row, int column)
{
    whole.values += row * whole.row + column * whole.column;
    return whole;
}

/* packed[k][ROWS] = alpha * A[row .. row + rows)[k], missing rows 0. */
static void pack_rows(struct operand a, int rows, int depth, float alpha, float *packed)
{
    for (int i = 0; i < ROWS; i++) {
        const float *from = a.values + i * a.row;
        if (i < rows) {
            for (int k = 0; k < depth; k++) packed[k * ROWS + i] = alpha * from[k * a.column];
        } else {
            for (int k = 0; k < depth; k++) packed[k * ROWS + i] = 0;
        }
    }
}

/* packed[k][STRIP] = B[k][column .. column + columns), missing columns 0. */
static void pack_columns(struct operand b, int columns, int depth, float *packed)
{
    if (b.column == 1) {
        for (int k = 0; k < depth; k++) {
            memcpy(packed + k * STRIP, b.values + k * b.row, (size_t)columns * sizeof(float));
            memset(packed + k * STRIP + columns, 0, (size_t)(STRIP - columns) * sizeof(float));
        }
        return;
    }
    memset(packed, 0, (size_t)depth * STRIP * sizeof(float));
    for (int j = 0; j < columns; j++) {
        for (int k = 0; k < depth; k++) packed[k * STRIP + j] = b.values[k * b.row + j * b.column];
    }
}

/* C[rows][columns] += packed A strip times packed B strip. `vectors` is a constant at every call. */
static inline __attribute__((always_inline)) void
multiply(int vectors, int depth, const float *a, const float *b, float *c, ptrdiff_t ldc, int rows, int columns)
{
    vec sums[ROWS][VECTORS];
    memset(sums, 0, sizeof sums);
    for (int k = 0; k < depth; k++) {
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++) sums[i][v] += a[i] * ((const vec *)b)[v];
        }
        a += ROWS;
        b += STRIP;
    }
    for (int i = 0; i < rows; i++) {
        float row[STRIP];
        memcpy(row, sums[i], sizeof(vec) * (size_t)vectors);
        for (int j = 0; j < columns; j++) c[i * ldc + j] += row[j];
    }
}

static void multiply_strip(int depth, const float *a, const float *b, float *c, ptrdiff_t ldc, int rows, int columns)
{
    if (columns > 2 * LANES) multiply(3, depth, a, b, c, ldc, rows, columns);
    else if (columns > LANES) multiply(2, depth, a, b, c, ldc, rows, columns);
    else multiply(1, depth, a, b, c, ldc, rows, columns);
}

/* A product of one or two rows, as of depthwise convolutions, is not worth packing. */
static void multiply_thin(struct operand a, struct operand b, int m, int n, int k, float alpha, float *c, int ldc)
{
    for (int i = 0; i < m; i++) {
        for (int p = 0; p < k; p++) {
            float factor = alpha * a.values[i * a.row + p * a.column];
            const float *from = b.values + p * b.row;
            for (int j = 0; j < n; j++) c[(ptrdiff_t)i * ldc + j] += factor * from[j];
        }
    }
}

static void scale_output(int m, int n, float beta, float *c, int ldc)
{
    if (beta == 1) return;
    for (int i = 0; i < m; i++) {
        float *row = c + (ptrdiff_t)i * ldc;
        for (int j = 0; j < n; j++) row[j] = beta == 0 ? 0 : beta * row[j];
    }
}

/* C += alpha * A B for one thread; `space` holds a block of A in strips and one strip of B. */
static void multiply_blocks(struct operand a, struct operand b, int m, int n, int k, float alpha, float *c, int ldc,
                            float *space)
{
    int row_strips = strips(m, ROWS);
    float *columns = space + (size_t)row_strips * ROWS * DEPTH;
    for (int k0 = 0; k0 < k; k0 += DEPTH) {
        int depth = min(DEPTH, k - k0);
        for (int i = 0; i < row_strips; i++) {
            struct operand from = at(a, i * ROWS, k0);
            pack_rows(from, min(ROWS, m - i * ROWS), depth, alpha, space + (size_t)i * ROWS * DEPTH);
        }
        for (int j = 0; j < n; j += STRIP) {
            int width = min(STRIP, n - j);
            pack_columns(at(b, k0, j), width, depth, columns);
            for (int i = 0; i < row_strips; i++) {
                multiply_strip(depth, space + (size_t)i * ROWS * DEPTH, columns, c + (ptrdiff_t)i * ROWS * ldc + j,
                               ldc, min(ROWS, m - i * ROWS), width);
            }
        }
    }
}

/* How many threads to share a product among; each needs some strips and enough work to be worth waking. */
static int count_parts(int most, double products)
{
#ifdef _OPENMP
    int threads = omp_get_max_threads();
#else
    int threads = 1;
#endif
    return products < 1e5 ? 1 : min(threads, most);
}

/* The threads take whole ranges of C, columns or else rows, and so never wait for each other before the end:
 * on a busy machine every wait may cost a time slice. Sums do not depend on the number of threads. */
void dk_gemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
             float beta, float *c, int ldc)
{
    struct operand left = {a, ta ? 1 : lda, ta ? lda : 1}, right = {b, tb ? 1 : ldb, tb ? ldb : 1};
    scale_output(m, n, beta, c, ldc);
    if (m <= 2 && k <= DEPTH && right.column == 1) {
        multiply_thin(left, right, m, n, k, alpha, c, ldc);
        return;
    }
    int by_rows = n < 4 * STRIP && m > n, whole = by_rows ? strips(m, ROWS) : strips(n, STRIP);
    int parts = count_parts(whole, (double)m * n * k);
    size_t space = ((size_t)strips(m, ROWS) * ROWS + STRIP) * DEPTH;
    float *packed = dk_scratch(space * (size_t)parts);
#pragma omp parallel for if (parts > 1) num_threads(parts)
    for (int part = 0; part < parts; part++) {
        int unit = by_rows ? ROWS : STRIP;
        int first = (int)((long)whole * part / parts) * unit;
        int last = min((int)((long)whole * (part + 1) / parts) * unit, by_rows ? m : n);
        float *mine = packed + space * (size_t)part;
        if (by_rows) {
            multiply_blocks(at(left, first, 0), right, last - first, n, k, alpha, c + (ptrdiff_t)first * ldc, ldc,
                            mine);
        } else {
            multiply_blocks(left, at(right, 0, first), m, last - first, k, alpha, c + first, ldc, mine);
        }
    }
}
