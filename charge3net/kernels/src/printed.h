// Numbers as VASP prints them, with the widest vectors (numbers.cpp decodes every other layout, and checks odd fields).
#pragma once

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

#include "common.h"

namespace c3n {

// 10^0 … 10^22: the powers of ten that a double holds exactly; 0 for all others.
constexpr double kPowers[24] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                            1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 0.0};

#if defined(__AVX512BW__) && defined(__AVX512DQ__)
// Fields as VASP prints them, two characters and then ".ddddddddddde±dd": 16 at a time, from their last 16 characters.
struct Sixteen {
    __m512i pattern, limit, weights;  // character ^ pattern is at most the limit; weights of pairs, see decode()
    __m512d powers[3];                // 10^0 … 10^22

    explicit Sixteen(int letter) {
        uint8_t characters[16], most[16];
        int8_t factors[16];
        for (int i = 0; i < 16; ++i) {
            const bool digit = (i > 0 && i < 12) || i > 13;
            characters[i] = uint8_t(i == 0 ? '.' : i == 12 ? letter : i == 13 ? '+' : '0');
            most[i] = digit ? 9 : i == 13 ? '+' ^ '-' : 0;
            factors[i] = int8_t(digit ? (i % 2 ? 1 : 10) : i == 13 ? 127 : 0);
        }
        const auto everywhere = [](const void* from) {
            return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(from)));
        };
        pattern = everywhere(characters), limit = everywhere(most), weights = everywhere(factors);
        for (int k = 0; k < 3; ++k) powers[k] = _mm512_loadu_pd(kPowers + 8 * k);
    }

    // Values of the fields at text + at[i]; false where one of them is anything else, or its power of ten is not exact.
    bool decode(const uint8_t* text, const int32_t* at, double* out) const {
        __mmask64 odd = 0;
        __m512i fours[4];  // of fields k, 4 + k, 8 + k, 12 + k: 3 digits, 4 digits, 4 digits, the exponent
        const __m512i hundreds = _mm512_broadcast_i32x4(_mm_setr_epi16(100, 1, 100, 1, 100, 1, 1, 1));
        for (int k = 0; k < 4; ++k) {
            const auto load = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + at[i] + 2)); };
            const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load(k)), load(4 + k), 1);
            const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load(8 + k)), load(12 + k), 1);
            const __m512i places = _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), pattern);
            odd |= _mm512_cmpgt_epu8_mask(places, limit);
            fours[k] = _mm512_madd_epi16(_mm512_maddubs_epi16(places, weights), hundreds);
        }
        const __m512i front = _mm512_unpacklo_epi32(fours[0], fours[1]), front2 = _mm512_unpacklo_epi32(fours[2], fours[3]);
        const __m512i back = _mm512_unpackhi_epi32(fours[0], fours[1]), back2 = _mm512_unpackhi_epi32(fours[2], fours[3]);
        const __m512i first = _mm512_unpacklo_epi64(front, front2), exponent = _mm512_unpackhi_epi64(back, back2);
        const __m512i middle = _mm512_mullo_epi32(_mm512_unpackhi_epi64(front, front2), _mm512_set1_epi32(10000));
        const __m512i rest = _mm512_add_epi32(middle, _mm512_unpacklo_epi64(back, back2));
        // exponent: dd for +dd and 6·127 + dd for −dd; what lies between is no sign
        const __m512i power = _mm512_min_epu32(_mm512_sub_epi32(_mm512_set1_epi32(11), exponent),
                                               _mm512_sub_epi32(exponent, _mm512_set1_epi32(6 * 127 - 11)));
        odd |= _mm512_cmpgt_epu32_mask(power, _mm512_set1_epi32(22));
        const __m256i lead = leads(text, at);
        const auto is = [&](char a, char b) { return _mm256_cmpeq_epi16_mask(lead, _mm256_set1_epi16(int16_t(b << 8 | a))); };
        const __mmask16 minus = is(' ', '-') | is('-', '0'), plus = is(' ', '0') | is(' ', ' ');
        if (odd || __mmask16(minus | plus) != 0xFFFF) return false;
        store(_mm512_castsi512_si256(first), _mm512_castsi512_si256(rest), _mm512_castsi512_si256(power), uint8_t(minus), out);
        store(_mm512_extracti32x8_epi32(first, 1), _mm512_extracti32x8_epi32(rest, 1), _mm512_extracti32x8_epi32(power, 1),
              uint8_t(minus >> 8), out + 8);
        return true;
    }

    // The first two characters of each field. Not through memory: a wide load right behind narrow stores waits for them.
    static __m256i leads(const uint8_t* text, const int32_t* at) {
        const auto two = [=](int i) {
            int16_t pair;
            memcpy(&pair, text + at[i], 2);
            return pair;
        };
        return _mm256_setr_epi16(two(0), two(1), two(2), two(3), two(4), two(5), two(6), two(7), two(8), two(9), two(10),
                                 two(11), two(12), two(13), two(14), two(15));
    }

    // ±(first·10^8 + rest) / 10^power for eight fields.
    void store(__m256i first, __m256i rest, __m256i power, __mmask8 minus, double* out) const {
        const __m512d mantissa = _mm512_fmadd_pd(_mm512_cvtepi32_pd(first), _mm512_set1_pd(1e8), _mm512_cvtepi32_pd(rest));
        const __m512i index = _mm512_cvtepi32_epi64(power);
        __m512d divisor = _mm512_permutex2var_pd(powers[0], index, powers[1]);
        const __mmask8 large = _mm512_cmpgt_epi64_mask(index, _mm512_set1_epi64(15));
        divisor = _mm512_mask_permutexvar_pd(divisor, large, index, powers[2]);
        const __m512d value = _mm512_div_pd(mantissa, divisor);
        _mm512_storeu_pd(out, _mm512_mask_xor_pd(value, minus, value, _mm512_set1_pd(-0.0)));
    }
};

#else
struct Sixteen {
    explicit Sixteen(int) {}
    bool decode(const uint8_t*, const int32_t*, double*) const { return false; }
};
#endif

}  // namespace c3n
