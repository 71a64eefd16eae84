/* The matrix product behind convolutions of prepared networks, and the name of what runs them. */
#include "convolution.h"

#include "amx_tiles.h"

#if defined(DK_ONEDNN)
#include <stdio.h>

#include "oneapi/dnnl/dnnl.h"

const char *dk_convolutions(void)
{
    static _Thread_local char name[48];
    const dnnl_version_t *loaded = dnnl_version();
    const char *more = dk_has_amx() ? "AMX and " : "";
    snprintf(name, sizeof name, "%soneDNN %d.%d.%d", more, loaded->major, loaded->minor, loaded->patch);
    return name;
}
#elif defined(DK_OPENBLAS)
const char *dk_convolutions(void)
{
    return dk_has_amx() ? "AMX and OpenBLAS" : "OpenBLAS";
}
#else
const char *dk_convolutions(void)
{
    return dk_has_amx() ? "AMX and built-in" : "built-in";
}
#endif

#if defined(DK_ONEDNN)
void dk_multiply(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc)
{
    dnnl_status_t status =
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    if (status != dnnl_success) dk_fail(DK_NO_MEMORY, "oneDNN gave up on a product with status %d", (int)status);
}
#elif defined(DK_OPENBLAS)
#ifdef _OPENMP
#include <omp.h>
#endif
#include "cblas.h"

/* Threads share columns out, or rows where columns are few, each with a product of its own: a second pool of
 * threads beside OpenMP's would compete with it. */
void dk_multiply(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc)
{
#ifdef _OPENMP
    int most = (double)m * n * k < 1e5 ? 1 : omp_get_max_threads();
#else
    int most = 1;
#endif
    int by_rows = m > n, whole = by_rows ? m : n, parts = most < whole ? most : whole;
    ptrdiff_t row = ta ? 1 : lda, column = tb ? ldb : 1; /* steps between rows of A and columns of B */
    scipy_openblas_set_num_threads(1);
#pragma omp parallel for if (parts > 1) num_threads(parts)
    for (int part = 0; part < parts; part++) {
        int first = (int)((long)whole * part / parts), count = (int)((long)whole * (part + 1) / parts) - first;
        const float *left = by_rows ? a + first * row : a, *right = by_rows ? b : b + first * column;
        float *out = by_rows ? c + (ptrdiff_t)first * ldc : c + first;
        scipy_cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                          by_rows ? count : m, by_rows ? n : count, k, alpha, left, lda, right, ldb, beta, out, ldc);
    }
}
#else
void dk_multiply(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc)
{
    dk_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
#endif
