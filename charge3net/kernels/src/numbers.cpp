// Printed numbers to the nearest double: fields of fixed width, many at a time (charge3net/io/columns.py).
#include <math.h>

#include "common.h"

namespace {

using namespace c3n;

constexpr int kBatch = 32;   // fields whose words stand side by side
constexpr int kPiece = 4096;  // fields a thread takes at once

// 10^0 … 10^22: the powers of ten that a double holds exactly.
const double kPowers[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                            1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct Fields {
    const uint8_t* text;  // the first field
    int64_t shape[3], strides[3];
    int dot, digits, letter;  // the layout of one field: charge3net.io.columns.Columns
    const uint64_t* tens;     // see nearest()
    int tens_low, tens_high;
    double* values;
    int64_t n;
    int64_t odd;  // fields that are left to the caller
};

// w·10^q for 0 < w < 2^64, NaN where 64 bits of the power do not settle how to round. tens[q − low] are the leading 64 bits
// of 10^q, cut off: the product with them lies below the true one by less than one unit of its upper word.
double nearest(uint64_t w, int q, const Fields& f) {
    if (q < f.tens_low || q > f.tens_high) return NAN;
    const int zeros = __builtin_clzll(w);
    const unsigned __int128 product = (unsigned __int128)(w << zeros) * f.tens[q - f.tens_low];
    const uint64_t upper = uint64_t(product >> 64);
    const int dropped = (upper >> 63) ? 11 : 10;
    const uint64_t rest = upper & ((1ull << dropped) - 1), half = 1ull << (dropped - 1);
    if (rest == half || rest == half - 1) return NAN;
    const uint64_t mantissa = (upper >> dropped) + (rest > half);
    const int binary = (q * 217706) >> 16;  // floor(q·log2 10), exact for |q| < 1233
    return ldexp(double(mantissa), dropped + 1 + binary - zeros);
}

inline uint64_t load8(const uint8_t* from) {
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

// The number that the last `count` of 8 characters spell; bits appear in `odd` where one is no digit, or where the
// characters before them that `expected` names are others.
inline uint64_t spell(uint64_t word, uint64_t digits, uint64_t expected, uint64_t named, uint64_t& odd) {
    const uint64_t x = word ^ ((0x3030303030303030ull & digits) | expected);
    odd |= ((x + (0x0606060606060606ull & digits)) | x) & ((0xF0F0F0F0F0F0F0F0ull & digits) | named);
    uint64_t sum = x & digits;
    sum = ((sum * (10 << 8 | 1)) >> 8) & 0x00FF00FF00FF00FFull;
    sum = ((sum * (100 << 16 | 1)) >> 16) & 0x0000FFFF0000FFFFull;
    return (sum * (10000ull << 32 | 1)) >> 32;
}

// Fields first … first+count−1 from their words; the number of those left to the caller, as NaN.
int decode_batch(const Fields& f, const uint8_t* const* at, int count, double* out) {
    const bool two = f.digits > 8;
    const int beside = two ? f.digits - 8 : f.digits, kept = 7 - beside, mark = f.dot + 1 + f.digits;
    const uint64_t digits = ~0ull << 8 * (kept + 1), point = uint64_t('.') << 8 * kept, named = 0xFFull << 8 * kept;
    const uint64_t unit = uint64_t(kPowers[f.digits]);
    uint64_t head[kBatch], tail[kBatch], odd[kBatch];
    uint32_t word[kBatch];
    int64_t mantissa[kBatch], power[kBatch];
    double sign[kBatch], divisor[kBatch];
    for (int i = 0; i < kBatch; ++i) {
        head[i] = load8(at[i] + mark - (two ? 16 : 8));
        tail[i] = load8(at[i] + mark - 8);
        memcpy(&word[i], at[i] + mark, 4);
    }
    for (int i = 0; i < kBatch; ++i) {
        odd[i] = 0;
        const uint64_t before = head[i] >> 8 * (kept - 2), units = (before >> 8 & 0xFF) ^ '0', lead = before & 0xFF;
        uint64_t w = spell(head[i], digits, point, named, odd[i]);
        if (two) w = w * 100000000 + spell(tail[i], ~0ull, 0, 0, odd[i]);
        const bool digit = units < 10, minus_lead = lead == '-', minus = units == ('-' ^ '0'), blank = units == (' ' ^ '0');
        mantissa[i] = int64_t(w + (digit ? units * unit : 0));
        sign[i] = (minus_lead | minus) ? -1.0 : 1.0;
        const bool fine = digit ? (minus_lead | (lead == ' ')) : ((minus | blank) & (lead == ' '));
        odd[i] |= fine ? 0 : 1;
    }
    for (int i = 0; i < kBatch; ++i) {
        const uint64_t x = word[i] ^ (uint32_t(f.letter) | uint32_t('+') << 8 | 0x30300000u);  // 0, 0 or 6, tens, ones
        odd[i] |= ((x + 0x06060000u) & 0xF0F00000u) | (x & 0xF0F0F9FFu) | (((x >> 8 & 6) + 2) & 4 & ~(x >> 8));
        const int64_t exponent = int64_t((x >> 16 & 0xF) * 10 + (x >> 24 & 0xF));
        power[i] = f.digits - ((x >> 8 & 6) ? -exponent : exponent);
    }
    for (int i = 0; i < kBatch; ++i) divisor[i] = uint64_t(power[i]) <= 22 ? kPowers[power[i]] : 0.0;
    uint64_t any = 0;
    for (int i = 0; i < kBatch; ++i) any |= odd[i] | (divisor[i] == 0.0);
    double value[kBatch];
    for (int i = 0; i < kBatch; ++i) value[i] = double(mantissa[i]) * sign[i] / divisor[i];
    for (int i = 0; i < count; ++i) out[i] = value[i];
    int left = 0;
    if (any || f.dot > 2)
        for (int i = 0; i < count; ++i) {
            for (int blank = 0; blank < f.dot - 2; ++blank) odd[i] |= at[i][blank] ^ ' ';
            if (odd[i])
                out[i] = NAN;
            else if (divisor[i] == 0.0)
                out[i] = sign[i] * (mantissa[i] ? nearest(uint64_t(mantissa[i]), -int(power[i]), f) : 0.0);
            left += out[i] != out[i];
        }
    return left;
}

void decode_piece(void* context, int piece) {
    Fields& f = *static_cast<Fields*>(context);
    const int64_t end = int64_t(piece + 1) * kPiece < f.n ? int64_t(piece + 1) * kPiece : f.n;
    int64_t i = int64_t(piece) * kPiece;
    int64_t c = i % f.shape[2], b = i / f.shape[2] % f.shape[1], a = i / f.shape[2] / f.shape[1];
    const uint8_t* field = f.text + a * f.strides[0] + b * f.strides[1] + c * f.strides[2];
    int64_t odd = 0;
    while (i < end) {
        const int count = int(end - i < kBatch ? end - i : kBatch);
        const uint8_t* at[kBatch];
        for (int k = 0; k < count; ++k) {
            at[k] = field;
            field += f.strides[2];
            if (++c < f.shape[2]) continue;
            c = 0;
            if (++b == f.shape[1]) b = 0, ++a;
            field = f.text + a * f.strides[0] + b * f.strides[1];
        }
        for (int k = count; k < kBatch; ++k) at[k] = at[0];
        odd += decode_batch(f, at, count, f.values + i);
        i += count;
    }
    __atomic_fetch_add(&f.odd, odd, __ATOMIC_RELAXED);
}

}  // namespace

// values[n0, n1, n2] of the fields that start at text + i·strides[0] + j·strides[1] + k·strides[2]. 16 bytes before the first
// are read too. Fields look like "-1.23E+45": `dot` characters, a point, 1 … 5 or 9 … 13 digits, `letter`, sign, two digits.
// tens: leading 64 bits of 10^q for q = tens_low … tens_high. Returns how many are not such fields, or not settled: NaN.
C3N_EXPORT int64_t c3n_decode_columns(const uint8_t* text, const int64_t* shape, const int64_t* strides, int dot, int digits,
                                      int letter, const uint64_t* tens, int tens_low, int tens_high, int threads,
                                      double* values) {
    Fields f = {text, {shape[0], shape[1], shape[2]}, {strides[0], strides[1], strides[2]}, dot, digits, letter, tens, tens_low,
                tens_high, values, shape[0] * shape[1] * shape[2], 0};
    parallel_for(int((f.n + kPiece - 1) / kPiece), threads, decode_piece, &f);
    return f.odd;
}
