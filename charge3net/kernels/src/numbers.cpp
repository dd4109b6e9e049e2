// Printed numbers to the nearest double, fields of fixed width, many at a time; and grids turned into C order (charge3net/io).
#include <math.h>

#include "common.h"

namespace {

using namespace c3n;

constexpr int kBatch = 64;   // fields whose words stand side by side
constexpr int kPiece = 4096;  // fields a thread takes at once

// 10^0 … 10^22: the powers of ten that a double holds exactly; 0 for all others.
const double kPowers[24] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                            1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 0.0};

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

// The number that the characters of `word` in the bytes `digits` spell, the highest byte last; bits appear in `odd` where one
// is no digit, or where a byte of `named` is not as in `expected`.
inline uint32_t spell(uint64_t word, uint64_t digits, uint64_t expected, uint64_t named, uint64_t& odd) {
    const uint64_t x = word ^ ((0x3030303030303030ull & digits) | expected);
    odd |= ((x + (0x0606060606060606ull & digits)) | x) & ((0xF0F0F0F0F0F0F0F0ull & digits) | named);
    uint64_t sum = x & digits;  // digits, then pairs, then fours; by shifts, since wide multiplication is slow before AVX-512
    sum = ((sum << 3) + (sum << 1) + (sum >> 8)) & 0x00FF00FF00FF00FFull;
    sum = ((sum << 6) + (sum << 5) + (sum << 2) + (sum >> 16)) & 0x0000FFFF0000FFFFull;
    return uint32_t(sum) * 10000u + uint32_t(sum >> 32);
}

// What stands side by side of kBatch fields.
struct Batch {
    const uint8_t* at[kBatch];
    uint64_t head[kBatch], tail[kBatch], odd[kBatch];
    uint32_t word[kBatch];
    double mantissa[kBatch], divisor[kBatch], sign[kBatch];
};

// Fields that are no such numbers, or not settled by one division: their values by nearest() or NaN, which are counted.
int mend(const Fields& f, const Batch& b, int count, double* out) {
    int left = 0;
    for (int i = 0; i < count; ++i) {
        uint64_t odd = b.odd[i];
        for (int k = 0; k < f.dot - 2; ++k) odd |= b.at[i][k] ^ ' ';
        const int tens = int(b.word[i] >> 16 & 0xF), ones = int(b.word[i] >> 24 & 0xF), minus = int(b.word[i] >> 8 & 6);
        const int exponent = (10 * tens + ones) * ((minus & 4) ? -1 : 1);
        if (odd)
            out[i] = NAN;
        else if (b.divisor[i] == 0.0)
            out[i] = b.sign[i] * (b.mantissa[i] > 0 ? nearest(uint64_t(b.mantissa[i]), exponent - f.digits, f) : 0.0);
        left += out[i] != out[i];
    }
    return left;
}

// The first `count` fields of a batch whose `at` is set; returns how many are left to the caller, as NaN.
int decode_batch(const Fields& f, Batch& b, int count, double* out) {
    const bool two = f.digits > 8;
    const int beside = two ? f.digits - 8 : f.digits, kept = 7 - beside, mark = f.dot + 1 + f.digits;
    const uint64_t digits = ~0ull << 8 * (kept + 1), point = uint64_t('.') << 8 * kept, named = 0xFFull << 8 * kept;
    const uint32_t unit = uint32_t(kPowers[beside]), letter = uint32_t(f.letter) | uint32_t('+') << 8 | 0x30300000u;
    const double shift = two ? 1e8 : 1.0;
    for (int i = 0; i < kBatch; ++i) {
        b.head[i] = load8(b.at[i] + mark - (two ? 16 : 8));
        b.tail[i] = load8(b.at[i] + mark - 8);
        memcpy(&b.word[i], b.at[i] + mark, 4);
    }
    int32_t power[kBatch];
    for (int i = 0; i < kBatch; ++i) {
        const uint32_t x = b.word[i] ^ letter;  // bytes now: 0, 0 or 6 (minus), tens, ones
        const uint32_t minus = x >> 8 & 6, exponent = (x >> 16 & 0xF) * 10 + (x >> 24);
        b.odd[i] = ((x + 0x06060000u) & 0xF0F00000u) | (x & 0xF0F0F9FFu) | ((minus + 2) & 4);
        const uint32_t p = uint32_t(f.digits) + (minus ? exponent : 0u - exponent);
        power[i] = int32_t(p < 23 ? p : 23);
    }
    for (int i = 0; i < kBatch; ++i) b.divisor[i] = kPowers[power[i]];
    for (int i = 0; i < kBatch; ++i) {
        const uint64_t before = b.head[i] >> 8 * (kept - 2), units = (before >> 8 & 0xFF) ^ '0', lead = before & 0xFF;
        uint64_t odd = b.odd[i];
        const bool digit = units < 10, minus = (lead == '-') | (units == ('-' ^ '0'));
        const bool fine = (lead == ' ') ? (digit | minus | (units == (' ' ^ '0'))) : (digit & minus);
        const uint32_t first = spell(b.head[i], digits, point, named, odd) + (digit ? uint32_t(units) * unit : 0u);
        const uint32_t last = two ? spell(b.tail[i], ~0ull, 0, 0, odd) : 0u;
        b.mantissa[i] = double(int32_t(first)) * shift + double(int32_t(last));
        b.sign[i] = minus ? -1.0 : 1.0;
        b.odd[i] = odd | !fine;
    }
    uint64_t any = f.dot > 2;
    for (int i = 0; i < kBatch; ++i) any |= b.odd[i] | (b.divisor[i] == 0.0);
    double spare[kBatch];
    double* values = count == kBatch ? out : spare;
    for (int i = 0; i < kBatch; ++i) values[i] = b.mantissa[i] * b.sign[i] / b.divisor[i];
    if (count < kBatch) memcpy(out, spare, count * sizeof(double));
    return any ? mend(f, b, count, out) : 0;
}

void decode_piece(void* context, int piece) {
    Fields& f = *static_cast<Fields*>(context);
    const int64_t end = int64_t(piece + 1) * kPiece < f.n ? int64_t(piece + 1) * kPiece : f.n;
    int64_t i = int64_t(piece) * kPiece;
    int64_t c = i % f.shape[2], b = i / f.shape[2] % f.shape[1], a = i / f.shape[2] / f.shape[1];
    const uint8_t* field = f.text + a * f.strides[0] + b * f.strides[1] + c * f.strides[2];
    int64_t odd = 0;
    Batch batch;
    while (i < end) {
        const int count = int(end - i < kBatch ? end - i : kBatch);
        const uint8_t** at = batch.at;
        for (int k = 0; k < count; ++k) {
            at[k] = field;
            field += f.strides[2];
            if (++c < f.shape[2]) continue;
            c = 0;
            if (++b == f.shape[1]) b = 0, ++a;
            field = f.text + a * f.strides[0] + b * f.strides[1];
        }
        for (int k = count; k < kBatch; ++k) at[k] = at[0];
        odd += decode_batch(f, batch, count, f.values + i);
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

namespace {

// Planes of a grid with the first axis fastest, to be turned into C order.
struct Planes {
    const double* from;  // [planes, ny, nx]
    double* to;          // [nx, ny, nz], at the first of these planes
    int64_t planes, nx, ny, nz;
    double divisor;
};

constexpr int kLine = 8;  // doubles in a cache line: that many columns are turned together

void turn_columns(void* context, int piece) {
    const Planes& p = *static_cast<Planes*>(context);
    const int64_t x0 = int64_t(piece) * kLine, width = p.nx - x0 < kLine ? p.nx - x0 : kLine;
    for (int64_t y = 0; y < p.ny; ++y)
        for (int64_t z0 = 0; z0 < p.planes; z0 += kLine) {
            const int64_t depth = p.planes - z0 < kLine ? p.planes - z0 : kLine;
            double tile[kLine][kLine];
            for (int64_t z = 0; z < depth; ++z)
                for (int64_t x = 0; x < width; ++x) tile[x][z] = p.from[((z0 + z) * p.ny + y) * p.nx + x0 + x];
            for (int64_t x = 0; x < width; ++x) {
                double* row = p.to + ((x0 + x) * p.ny + y) * p.nz + z0;
                for (int64_t z = 0; z < depth; ++z) row[z] = tile[x][z] / p.divisor;
            }
        }
}

}  // namespace

// to[x, y, z] = from[z, y, x] / divisor for some planes z of a grid; `to` points at the first of them.
C3N_EXPORT void c3n_turn_planes(const double* from, int64_t planes, int64_t nx, int64_t ny, int64_t nz, double divisor,
                                int threads, double* to) {
    Planes p = {from, to, planes, nx, ny, nz, divisor};
    parallel_for(int((nx + kLine - 1) / kLine), threads, turn_columns, &p);
}
