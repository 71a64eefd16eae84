/* The matrix product behind convolutions of prepared networks, and the name of what runs them. */
#include "convolution.h"

#if defined(DK_ONEDNN)
#include <stdio.h>

#include "oneapi/dnnl/dnnl.h"

const char *dk_convolutions(void)
{
    static _Thread_local char name[48];
    const dnnl_version_t *loaded = dnnl_version();
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", loaded->major, loaded->minor, loaded->patch);
    return name;
}
#elif defined(DK_OPENBLAS)
const char *dk_convolutions(void)
{
    return "OpenBLAS";
}
#else
const char *dk_convolutions(void)
{
    return "built-in";
}
#endif

#if defined(DK_OPENBLAS)
#ifdef _OPENMP
#include <omp.h>
#endif
#include "cblas.h"

/* Threads share columns out, or rows where columns are few, each with a product of its own: a second pool of
 * threads beside OpenMP's would compete with it. */
void dk_multiply(int m, int n, int k, const float *a, const float *b, float beta, float *c)
{
#ifdef _OPENMP
    int most = (double)m * n * k < 1e5 ? 1 : omp_get_max_threads();
#else
    int most = 1;
#endif
    int by_rows = m > n, whole = by_rows ? m : n, parts = most < whole ? most : whole;
    scipy_openblas_set_num_threads(1);
#pragma omp parallel for if (parts > 1) num_threads(parts)
    for (int part = 0; part < parts; part++) {
        int first = (int)((long)whole * part / parts), last = (int)((long)whole * (part + 1) / parts);
        int rows = by_rows ? last - first : m, columns = by_rows ? n : last - first;
        const float *left = by_rows ? a + (size_t)first * (size_t)k : a, *right = by_rows ? b : b + first;
        float *out = by_rows ? c + (size_t)first * (size_t)n : c + first;
        scipy_cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, columns, k, 1, left, k, right, n, beta, out,
                          n);
    }
}
#else
void dk_multiply(int m, int n, int k, const float *a, const float *b, float beta, float *c)
{
    dk_gemm(0, 0, m, n, k, 1, a, k, b, n, beta, c, n);
}
#endif
