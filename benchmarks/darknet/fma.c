/* Fused multiply-adds that stay in registers: what one core can do at most. */
#ifdef __AVX512F__
enum { LANES = 16, WAYS = 12 };
#else
enum { LANES = 8, WAYS = 12 };
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));

long fma_flop(long rounds)
{
    return 2 * rounds * WAYS * LANES;
}

/* The sum is returned only so that the compiler cannot leave the work out. */
float fma_run(long rounds, float factor, float addend)
{
    lanes sums[WAYS], factors = (lanes){0} + factor, addends = (lanes){0} + addend;
    for (int way = 0; way < WAYS; ++way) sums[way] = (lanes){0} + (float)way; /* equal ones would be computed once */
    for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int way = 0; way < WAYS; ++way) sums[way] = sums[way] * factors + addends;
    }
    for (int way = 1; way < WAYS; ++way) sums[0] += sums[way];
    return sums[0][0];
}
