// Printed numbers to the nearest double, fields of fixed width, many at a time; and grids turned into C order (charge3net/io).
#include <math.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "common.h"
#include "printed.h"

namespace {

using namespace c3n;

constexpr int kMostPerLine = 24;
constexpr int kBatch = 64;   // fields whose words stand side by side
constexpr int kChunk = 4096;  // fields a thread takes at once, about

struct Fields {
    const uint8_t* text;  // the first field
    int64_t shape[3], strides[3];
    int dot, digits, letter;  // the layout of one field: charge3net.io.numbers.columns.Columns
    const uint64_t* tens;     // see nearest()
    int tens_low, tens_high;
    double* values;
    int64_t n;
    int64_t chunk;  // fields a thread takes at once: whole groups of 16 lines
    int64_t odd;    // fields that are left to the caller
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

// The layout of a field in the 16 characters before its exponent.
struct Layout {
    uint8_t pattern[16], limit[16];  // character ^ pattern is at most the limit: a digit's value, 0 for the point
    int8_t weights[16];              // of digits: 10 and 1 in turn, 0 for all else
};

Layout layout_of(int digits) {
    Layout layout = {};
    for (int i = 0; i < 16; ++i) {
        const bool digit = i >= 16 - digits, point = i == 15 - digits;
        layout.pattern[i] = digit ? '0' : point ? '.' : 0;
        layout.limit[i] = digit ? 9 : point ? 0 : 255;
        layout.weights[i] = digit ? (i % 2 ? 1 : 10) : 0;
    }
    return layout;
}

// What stands side by side of kBatch fields.
struct Batch {
    const uint8_t* at[kBatch];
    uint32_t first[kBatch], last[kBatch];  // what the last 16 characters of the mantissa spell: the first 8, the last 8
    uint32_t word[kBatch], lead[kBatch];   // the exponent; the two characters before the point
    double mantissa[kBatch], divisor[kBatch], sign[kBatch];
};

#if defined(__AVX2__)
// Digits of two fields at a time: pairs, fours, eights. Not 0 where a character is neither digit nor point.
uint64_t spell(const Layout& layout, int mark, Batch& b) {
    const auto both = [](const void* from) {
        return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(from)));
    };
    const __m256i pattern = both(layout.pattern), limit = both(layout.limit), weights = both(layout.weights);
    const __m256i pairs = _mm256_set1_epi32(1 << 16 | 100), fours = _mm256_set1_epi32(1 << 16 | 10000);
    __m256i odd = _mm256_setzero_si256();
    for (int i = 0; i < kBatch; i += 4) {
        __m256i sums[2];
        for (int k = 0; k < 2; ++k) {
            const __m128i* one = reinterpret_cast<const __m128i*>(b.at[i + k] + mark - 16);
            const __m128i* two = reinterpret_cast<const __m128i*>(b.at[i + k + 2] + mark - 16);
            const __m256i text = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(one)), _mm_loadu_si128(two), 1);
            const __m256i x = _mm256_xor_si256(text, pattern);
            odd = _mm256_or_si256(odd, _mm256_xor_si256(_mm256_max_epu8(x, limit), limit));
            sums[k] = _mm256_madd_epi16(_mm256_maddubs_epi16(x, weights), pairs);
        }
        // 32-bit lanes now: first and last of field i, of i + 1, of i + 2, of i + 3
        const __m256i eights = _mm256_madd_epi16(_mm256_packus_epi32(sums[0], sums[1]), fours);
        const __m256i apart = _mm256_permutevar8x32_epi32(eights, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(b.first + i), _mm256_castsi256_si128(apart));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(b.last + i), _mm256_extracti128_si256(apart, 1));
    }
    return !_mm256_testz_si256(odd, odd);
}
#else
inline uint64_t load8(const uint8_t* from) {
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

// The same with 8 characters in a word, the first in the lowest byte.
uint64_t spell(const Layout& layout, int mark, Batch& b) {
    uint64_t odd = 0;
    for (int half = 0; half < 2; ++half) {
        uint64_t text[kBatch], digits = 0, same = 0;
        const uint64_t pattern = load8(layout.pattern + 8 * half);
        for (int i = 0; i < 8; ++i) {
            digits |= layout.limit[8 * half + i] == 9 ? 0xFFull << 8 * i : 0;
            same |= layout.limit[8 * half + i] == 0 ? 0xFFull << 8 * i : 0;
        }
        uint32_t* out = half ? b.last : b.first;
        for (int i = 0; i < kBatch; ++i) text[i] = load8(b.at[i] + mark - 16 + 8 * half);
        for (int i = 0; i < kBatch; ++i) {
            const uint64_t x = text[i] ^ pattern;
            odd |= ((x + (0x0606060606060606ull & digits)) | x) & ((0xF0F0F0F0F0F0F0F0ull & digits) | same);
            uint64_t sum = x & digits;  // digits, then pairs, then fours; by shifts: wide multiplication is slow
            sum = ((sum << 3) + (sum << 1) + (sum >> 8)) & 0x00FF00FF00FF00FFull;
            sum = ((sum << 6) + (sum << 5) + (sum << 2) + (sum >> 16)) & 0x0000FFFF0000FFFFull;
            out[i] = uint32_t(sum) * 10000u + uint32_t(sum >> 32);
        }
    }
    return odd;
}
#endif

// Whether a field is a number of this layout.
bool regular(const Fields& f, const uint8_t* field) {
    for (int i = 0; i < f.dot - 2; ++i)
        if (field[i] != ' ') return false;
    const uint8_t lead = field[f.dot - 2], units = field[f.dot - 1];
    const bool digit = units >= '0' && units <= '9';
    if (!(lead == ' ' ? digit || units == '-' || units == ' ' : lead == '-' && digit)) return false;
    if (field[f.dot] != '.') return false;
    for (int i = 1; i <= f.digits + 4; ++i) {
        const uint8_t c = field[f.dot + i];
        const int place = i - f.digits - 1;  // in the exponent
        if (place == 0 ? c != f.letter : place == 1 ? c != '+' && c != '-' : c < '0' || c > '9') return false;
    }
    return true;
}

// After a batch that holds something unusual: fields that are no such numbers become NaN and are counted, those that one
// division does not settle are left to nearest().
int mend(const Fields& f, const Batch& b, int count, double* out) {
    int left = 0;
    for (int i = 0; i < count; ++i) {
        const int size = int(b.word[i] >> 16 & 0xF) * 10 + int(b.word[i] >> 24 & 0xF);
        const int exponent = (b.word[i] >> 8 & 0xFF) == '-' ? -size : size;
        if (!regular(f, b.at[i]))
            out[i] = NAN;
        else if (b.divisor[i] == 0.0)
            out[i] = b.sign[i] * (b.mantissa[i] > 0 ? nearest(uint64_t(b.mantissa[i]), exponent - f.digits, f) : 0.0);
        left += out[i] != out[i];
    }
    return left;
}

// The first `count` fields of a batch whose `at` is set; returns how many are left to the caller, as NaN.
int decode_batch(const Fields& f, const Layout& layout, Batch& b, int count, double* out) {
    const int mark = f.dot + 1 + f.digits;
    const double unit = kPowers[f.digits];
    const uint32_t letter = uint32_t(f.letter) | uint32_t('+') << 8 | 0x30300000u;
    for (int i = 0; i < kBatch; ++i) {
        memcpy(&b.word[i], b.at[i] + mark, 4);
        uint16_t two;
        memcpy(&two, b.at[i] + f.dot - 2, 2);
        b.lead[i] = two;
    }
    uint64_t odd = spell(layout, mark, b);
    int32_t power[kBatch];
    uint32_t strange = 0;
    for (int k = 0; k < f.dot - 2; ++k)
        for (int i = 0; i < kBatch; ++i) strange |= uint32_t(b.at[i][k]) ^ ' ';
    for (int i = 0; i < kBatch; ++i) {
        const uint32_t x = b.word[i] ^ letter;  // bytes now: 0, 0 or 6 (minus), tens, ones
        const uint32_t minus = x >> 8 & 6, exponent = (x >> 16 & 0xF) * 10 + (x >> 24);
        strange |= ((x + 0x06060000u) & 0xF0F00000u) | (x & 0xF0F0F9FFu) | ((minus + 2) & 4);
        const uint32_t p = uint32_t(f.digits) + (minus ? exponent : 0u - exponent);
        power[i] = int32_t(p < 23 ? p : 23);
    }
    for (int i = 0; i < kBatch; ++i) b.divisor[i] = kPowers[power[i]];
    for (int i = 0; i < kBatch; ++i) {
        const uint32_t lead = b.lead[i] & 0xFF, units = (b.lead[i] >> 8) ^ '0';
        const bool digit = units < 10, minus = (lead == '-') | (units == ('-' ^ '0'));
        const bool fine = (lead == ' ') ? (digit | minus | (units == (' ' ^ '0'))) : (digit & minus);
        const double before = double(int32_t(digit ? units : 0u)) * unit;
        b.mantissa[i] = before + (double(int32_t(b.first[i])) * 1e8 + double(int32_t(b.last[i])));
        b.sign[i] = minus ? -1.0 : 1.0;
        strange |= !fine;
    }
    double spare[kBatch];
    double* values = count == kBatch ? out : spare;
    for (int i = 0; i < kBatch; ++i) odd |= b.divisor[i] == 0.0;
    for (int i = 0; i < kBatch; ++i) values[i] = b.mantissa[i] * b.sign[i] / b.divisor[i];
    if (count < kBatch) memcpy(out, spare, count * sizeof(double));
    return (odd | strange) ? mend(f, b, count, out) : 0;
}

// From field i on, whole groups of 16 lines of VASP's numbers, as far as they are regular; returns where it stopped.
int64_t decode_lines(const Fields& f, int64_t i, int64_t end) {
    const int64_t line = f.shape[2], group = 16 * line;
    if (f.dot != 2 || f.digits != 11 || f.shape[1] != 1 || line > kMostPerLine) return i;
    int32_t offsets[16 * kMostPerLine];
    for (int64_t k = 0; k < group; ++k) offsets[k] = int32_t(k / line * f.strides[0] + k % line * f.strides[2]);
    const Sixteen sixteen(f.letter);
    const uint8_t* field = f.text + i / line * f.strides[0];
    for (; i + group <= end; i += group, field += 16 * f.strides[0])
        for (int64_t k = 0; k < group; k += 16)
            if (!sixteen.decode(field, offsets + k, f.values + i + k)) return i;
    return i;
}

void decode_chunk(void* context, int chunk) {
    Fields& f = *static_cast<Fields*>(context);
    const int64_t end = (chunk + 1) * f.chunk < f.n ? (chunk + 1) * f.chunk : f.n;
    int64_t i = decode_lines(f, chunk * f.chunk, end);
    int64_t c = i % f.shape[2], b = i / f.shape[2] % f.shape[1], a = i / f.shape[2] / f.shape[1];
    const uint8_t* field = f.text + a * f.strides[0] + b * f.strides[1] + c * f.strides[2];
    int64_t odd = 0;
    Batch batch;
    const Layout layout = layout_of(f.digits);
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
        odd += decode_batch(f, layout, batch, count, f.values + i);
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
    const int64_t group = 16 * shape[2], chunk = (kChunk + group - 1) / group * group;
    Fields f = {text, {shape[0], shape[1], shape[2]}, {strides[0], strides[1], strides[2]}, dot, digits, letter, tens, tens_low,
                tens_high, values, shape[0] * shape[1] * shape[2], chunk, 0};
    parallel_for(int((f.n + chunk - 1) / chunk), threads, decode_chunk, &f);
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

// A tile of `depth` planes and `width` columns; both are kLine but at the ends.
inline void turn_tile(const double* from, int64_t plane, int64_t depth, int64_t width, double divisor, double* to, int64_t column) {
    double tile[kLine][kLine];
    for (int64_t z = 0; z < depth; ++z)
        for (int64_t x = 0; x < width; ++x) tile[z][x] = from[z * plane + x] / divisor;
    for (int64_t x = 0; x < width; ++x)
        for (int64_t z = 0; z < depth; ++z) to[x * column + z] = tile[z][x];
}

void turn_columns(void* context, int chunk) {
    const Planes& p = *static_cast<Planes*>(context);
    const int64_t x0 = int64_t(chunk) * kLine, width = p.nx - x0 < kLine ? p.nx - x0 : kLine;
    for (int64_t y = 0; y < p.ny; ++y)
        for (int64_t z0 = 0; z0 < p.planes; z0 += kLine) {
            const int64_t depth = p.planes - z0 < kLine ? p.planes - z0 : kLine;
            const double* from = p.from + (z0 * p.ny + y) * p.nx + x0;
            double* to = p.to + (x0 * p.ny + y) * p.nz + z0;
            if (depth == kLine && width == kLine)
                turn_tile(from, p.ny * p.nx, kLine, kLine, p.divisor, to, p.ny * p.nz);
            else
                turn_tile(from, p.ny * p.nx, depth, width, p.divisor, to, p.ny * p.nz);
        }
}

}  // namespace

// to[x, y, z] = from[z, y, x] / divisor for some planes z of a grid; `to` points at the first of them.
C3N_EXPORT void c3n_turn_planes(const double* from, int64_t planes, int64_t nx, int64_t ny, int64_t nz, double divisor,
                                int threads, double* to) {
    Planes p = {from, to, planes, nx, ny, nz, divisor};
    parallel_for(int((nx + kLine - 1) / kLine), threads, turn_columns, &p);
}
