// Which of the compiled variants this processor can run.
#include "common.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// 4: AVX-512 (F, BW, CD, DQ, VL), 3: AVX2, FMA, BMI, 1: any x86-64 (the levels of the x86-64 psABI); 0: another processor.
// The operating system has to save the wide registers too: XCR0 says so.
C3N_EXPORT int c3n_processor_level() {
#if defined(__x86_64__)
    unsigned a, b, c, d, b7, c7, d7, extended;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
    const unsigned needed = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C;
    if ((c & needed) != needed || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return 1;
    if (!__get_cpuid(0x80000001, &a, &b, &extended, &d) || !(extended & bit_LZCNT)) return 1;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const unsigned level3 = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned level4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    if ((low & 0x06) != 0x06 || (b7 & level3) != level3) return 1;
    return (low & 0xe6) == 0xe6 && (b7 & level4) == level4 ? 4 : 3;
#else
    return 0;
#endif
}
