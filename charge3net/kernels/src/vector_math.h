// Exponentials, transposes and spherical harmonics on vectors of floats.
#pragma once

#include <math.h>

#include <utility>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "common.h"

namespace c3n {

template <int W>
struct IntegersOf {
    typedef int32_t type __attribute__((vector_size(W * 4)));
};
template <int W>
using Ints = typename IntegersOf<W>::type;

template <int W>
inline Vec<W> all(float value) {
    return Vec<W>{} + value;
}

template <int W>
inline Vec<W> where(Ints<W> mask, Vec<W> yes, Vec<W> no) {
    return (Vec<W>)((mask & (Ints<W>)yes) | (~mask & (Ints<W>)no));
}

// e^x to 2 units in the last place; x below −87 gives e^−87, above 88 e^88.
template <int W>
inline Vec<W> exponential(Vec<W> x) {
    x = where<W>(x < -87.f, all<W>(-87.f), x);
    x = where<W>(x > 88.f, all<W>(88.f), x);
    const float magic = 12582912.f;  // 1.5·2^23: adding it leaves the nearest integer in the low bits
    const Vec<W> shifted = x * 1.44269504f + magic;
    const Vec<W> n = shifted - magic;
    const Vec<W> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    const float inverse_factorial[8] = {1.f, 1.f, 0.5f, 1.f / 6, 1.f / 24, 1.f / 120, 1.f / 720, 1.f / 5040};
    Vec<W> p = all<W>(inverse_factorial[7]);
    for (int k = 6; k >= 0; --k) p = p * r + inverse_factorial[k];
    const Ints<W> power = ((Ints<W>)shifted - (Ints<W>)all<W>(magic)) << 23;
    return (Vec<W>)((Ints<W>)p + power);
}

// x / (1 + e^−x)
template <int W>
inline Vec<W> silu(Vec<W> x) {
    return x / (exponential<W>(-x) + 1.f);
}

template <int W>
inline Vec<W> sigmoid(Vec<W> x) {
    return 1.f / (exponential<W>(-x) + 1.f);
}

// e^x − 1 for x ≤ 0, to 2 units in the last place; x below −87 gives −1.
template <int W>
inline Vec<W> exponential_minus_one(Vec<W> x) {
    x = where<W>(x < -87.f, all<W>(-87.f), x);
    const float magic = 12582912.f;
    const Vec<W> shifted = x * 1.44269504f + magic;
    const Vec<W> n = shifted - magic;
    const Vec<W> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    const float inverse_factorial[8] = {1.f, 1.f, 0.5f, 1.f / 6, 1.f / 24, 1.f / 120, 1.f / 720, 1.f / 5040};
    Vec<W> p = all<W>(inverse_factorial[7]);
    for (int k = 6; k >= 1; --k) p = p * r + inverse_factorial[k];
    const Vec<W> power = (Vec<W>)(((Ints<W>)shifted - (Ints<W>)all<W>(magic) + 127) << 23);  // 2^n
    return power * (p * r) + (power - 1.f);
}

// ln(½ + ½e^x) = max(x, 0) + ln(1 + w), w = (e^−|x| − 1)/2. Without a difference of two logarithms: at small x, where the
// result is about x/2, rounding of ln 2 would be larger than that of everything else in SchNet.
template <int W>
inline Vec<W> shifted_softplus(Vec<W> x) {
    const Ints<W> negative = x < 0.f;
    const Vec<W> w = exponential_minus_one<W>(where<W>(negative, x, -x)) * 0.5f;
    const Vec<W> s = w / (w + 2.f), square = s * s;  // ln(1 + w) = 2 artanh s
    Vec<W> p = all<W>(1.f / 13);
    for (int k = 11; k >= 1; k -= 2) p = p * square + 1.f / float(k);
    return where<W>(negative, Vec<W>{}, x) + s * p * 2.f;
}

// Four neighbouring numbers in memory, each spread over all lanes. (AVX-512: one load and shuffles; loads are scarce.)
template <int W>
inline void spread(const float* from, Vec<W>* lanes) {
#if defined(__AVX512F__)
    const __m512 quad = _mm512_broadcast_f32x4(_mm_loadu_ps(from));
    lanes[0] = (Vec<W>)_mm512_permute_ps(quad, 0x00);
    lanes[1] = (Vec<W>)_mm512_permute_ps(quad, 0x55);
    lanes[2] = (Vec<W>)_mm512_permute_ps(quad, 0xAA);
    lanes[3] = (Vec<W>)_mm512_permute_ps(quad, 0xFF);
#else
    for (int i = 0; i < 4; ++i) lanes[i] = all<W>(from[i]);
#endif
}

// One step of a transpose: in `a` the lanes with bit S are replaced by the lanes without it of `b`, and the reverse.
#if defined(__clang__)
template <int W, int S, int... I>
inline void exchange(Vec<W>& a, Vec<W>& b, std::integer_sequence<int, I...>) {
    const Vec<W> first = a, second = b;
    a = __builtin_shufflevector(first, second, (I & S ? W + I - S : I)...);
    b = __builtin_shufflevector(first, second, (I & S ? W + I : I + S)...);
}
#else
template <int W, int S, int... I>
inline void exchange(Vec<W>& a, Vec<W>& b, std::integer_sequence<int, I...>) {
    const Vec<W> first = a, second = b;
    a = __builtin_shuffle(first, second, Ints<W>{(I & S ? W + I - S : I)...});
    b = __builtin_shuffle(first, second, Ints<W>{(I & S ? W + I : I + S)...});
}
#endif

template <int W, int S>
inline void exchange_all(Vec<W>* rows) {
    for (int i = 0; i < W; ++i)
        if (!(i & S)) exchange<W, S>(rows[i], rows[i + S], std::make_integer_sequence<int, W>());
    if constexpr (2 * S < W) exchange_all<W, 2 * S>(rows);
}

// rows[i][j] = from[j·W + i] for i, j < W.
template <int W>
inline void transpose(const float* from, Vec<W>* rows) {
    for (int i = 0; i < W; ++i) rows[i] = *reinterpret_cast<const Vec<W>*>(from + i * W);
    exchange_all<W, 1>(rows);
}

// Real spherical harmonics of W unit vectors, e3nn's order and axes (its polar axis is y), component normalised:
// Y_lm = sqrt((2l+1)·(2 − δ_m0)·(l−m)!/(l+m)!) · Π_lm(y) · {Re, Im}((z + ix)^m), Π_lm = P_lm / sin^m.
// `on` is 1, or 0 where there is no direction: there l > 0 vanish. Y[l² + l + m] is written to out + (l² + l + m)·W.
template <int W>
inline void harmonics(Vec<W> x, Vec<W> y, Vec<W> z, Vec<W> on, int lmax, const float (*norm)[kMaxL + 1], float* out) {
    Vec<W> cosine = on, sine = {};
    float diagonal = 1.f;  // Π_mm = (2m−1)!!
    for (int m = 0; m <= lmax; ++m) {
        if (m) {
            const Vec<W> next = z * cosine - x * sine;
            sine = x * cosine + z * sine;
            cosine = next;
            diagonal *= 2 * m - 1;
        }
        Vec<W> before = {}, current = all<W>(diagonal);
        for (int l = m; l <= lmax; ++l) {
            if (l > m) {
                const Vec<W> next = (y * current * float(2 * l - 1) - before * float(l + m - 1)) * (1.f / float(l - m));
                before = current;
                current = next;
            }
            const Vec<W> radial = current * norm[l][m];
            float* centre = out + (l * l + l) * W;
            *reinterpret_cast<Vec<W>*>(centre + m * W) = l ? radial * cosine : all<W>(1.f);
            if (m) *reinterpret_cast<Vec<W>*>(centre - m * W) = radial * sine;
        }
    }
}

// Derivatives of the same harmonics with respect to the vector whose direction is (x, y, z) and whose length is 1/`inverse`:
// those along the sphere, ∇Y = (∇F − u(u·∇F))/r with F the polynomial above and Π_lm' = Π_l,m+1. Zero where `inverse` is.
// ∂Y/∂x for l ≥ 1 go to out[l² + l + m − 1], those for y and z (lmax+1)² − 1 vectors further each.
template <int W>
inline void harmonic_derivatives(Vec<W> x, Vec<W> y, Vec<W> z, Vec<W> inverse, int lmax, const float (*norm)[kMaxL + 1],
                                Vec<W>* out) {
    const int axis = (lmax + 1) * (lmax + 1) - 1;
    Vec<W> column[kMaxL + 1], next[kMaxL + 1];  // Π_lm and Π_l,m+1 for all l
    Vec<W> powers[2][kMaxL + 1];                // Re and Im of (z + ix)^m
    float diagonal[kMaxL + 1];
    powers[0][0] = all<W>(1.f), powers[1][0] = Vec<W>{}, diagonal[0] = 1.f;
    for (int m = 1; m <= lmax; ++m) {
        powers[0][m] = z * powers[0][m - 1] - x * powers[1][m - 1];
        powers[1][m] = x * powers[0][m - 1] + z * powers[1][m - 1];
        diagonal[m] = diagonal[m - 1] * float(2 * m - 1);
    }
    for (int l = 0; l <= lmax; ++l) next[l] = Vec<W>{};
    for (int m = lmax; m >= 0; --m) {
        for (int l = 0; l < m; ++l) column[l] = Vec<W>{};
        column[m] = all<W>(diagonal[m]);
        for (int l = m + 1; l <= lmax; ++l) {
            const Vec<W> before = l > m + 1 ? column[l - 2] : Vec<W>{};
            column[l] = (y * column[l - 1] * float(2 * l - 1) - before * float(l + m - 1)) * (1.f / float(l - m));
        }
        for (int l = m ? m : 1; l <= lmax; ++l)
            for (int part = 0; part < (m ? 2 : 1); ++part) {  // cosines, sines
                const Vec<W> steep = column[l] * (norm[l][m] * float(m));
                const Vec<W> fx = m ? steep * (part ? powers[0][m - 1] : -powers[1][m - 1]) : Vec<W>{};
                const Vec<W> fz = m ? steep * powers[part][m - 1] : Vec<W>{};
                const Vec<W> fy = next[l] * powers[part][m] * norm[l][m];
                const Vec<W> along = x * fx + y * fy + z * fz;
                Vec<W>* to = out + l * l + l + (part ? -m : m) - 1;
                to[0] = (fx - x * along) * inverse;
                to[axis] = (fy - y * along) * inverse;
                to[2 * axis] = (fz - z * along) * inverse;
            }
        for (int l = 0; l <= lmax; ++l) next[l] = column[l];
    }
}

inline void harmonic_norms(int lmax, float (*norm)[kMaxL + 1]) {
    for (int l = 0; l <= lmax; ++l)
        for (int m = 0; m <= l; ++m) {
            double ratio = 1.0;
            for (int k = l - m + 1; k <= l + m; ++k) ratio /= k;
            norm[l][m] = float(sqrt((2 * l + 1) * (m ? 2.0 : 1.0) * ratio));
        }
}

}  // namespace c3n
