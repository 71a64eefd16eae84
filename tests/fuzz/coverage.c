/* Coverage for libFuzzer from gcc, which calls a function per basic block where clang counts in place. */
#include <stdint.h>

extern const char __executable_start[], etext[];

/* libFuzzer looks at this section; a call takes 5 bytes, so no two blocks share a counter. */
enum { COUNTERS = 1 << 20 };
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0) - (uintptr_t)__executable_start;
    uint8_t *counter = &counters[place / 4 % COUNTERS];
    if (*counter != UINT8_MAX) ++*counter;
}

/* gcc reports comparisons of floating-point numbers too; libFuzzer has no use for them. */
void __sanitizer_cov_trace_cmpf(float a, float b)
{
    (void)a;
    (void)b;
}

void __sanitizer_cov_trace_cmpd(double a, double b)
{
    (void)a;
    (void)b;
}
