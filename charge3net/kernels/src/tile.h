// A tile of probes and the edges that end at them, described once for all layers.
#pragma once

#include "cell_list.h"
#include "vector_math.h"

namespace c3n {

// Channels in a vector: as many as a register holds.
#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif
constexpr int kTile = 64;             // probes
constexpr int kMaxRecords = 1 << 12;  // a tile with more is evaluated, full or not
constexpr int kMaxNumbers = 8;        // per probe

// Adjacent probes have mostly the same neighbours. They are summed together, so that an atom's features are loaded once
// for all of them; measured for ChargE3Net, 4 take 280 cycles per edge at L = 4, 2 take 350, 1 takes 380 (Zen 4).
#if defined(__AVX512F__)
constexpr int kTogether = 4;
#else
constexpr int kTogether = 2;
#endif

// A record describes one edge: four B-spline weights, first table row times W, sender, Y_lm for l ≥ 1. The records of a
// group alternate; an atom that is a neighbour of some probes of the group only has zero weights for the others.
enum Field { kSpline = 0, kRow = 4, kSender = 5, kHarmonics = 5 };  // Y of order l begins at kHarmonics + l²

// Tiles of a network.
struct TileForm {
    bool together;                  // neighbouring probes share records
    int probes = kTile;             // in a tile, at most
    int64_t records = kMaxRecords;  // a tile with more is evaluated, full or not
    bool derivatives = false;       // records hold derivatives with respect to the probe's position too
};

struct Group {
    int probe, size;
    int64_t first;  // record
};

// Position of the derivatives in a record: four derivatives of the B-spline weights (1/Å), the direction (x, y, z), and for each of
// x, y, z the derivatives of Y_lm for l ≥ 1 (1/Å).
inline int derivative_field(int lmax) { return kHarmonics + (lmax + 1) * (lmax + 1); }
constexpr int kDirection = 4, kHarmonicDerivatives = 7;

// How edges are described.
struct EdgeForm {
    int32_t lmax, n_steps;  // highest order of the harmonics; steps of the radial tables over [0, cutoff]
    double on_atom;         // Å; an edge that is not longer has no direction
};

struct Tile {
    Buffer<float> x, y, z, records, sums, turned, scratch;
    Buffer<int32_t> sender, within, listed;
    Buffer<int64_t> mask;
    Images region, near;
    int n = 0, n_groups = 0, record = 0;  // record: its size
    int64_t n_records = 0;
    Group groups[kTile + 1];
    int64_t target[kTile];
    float norm[kMaxL + 1][kMaxL + 1];
};

// Lengths, B-spline weights, table rows and spherical harmonics of the tile's edges, and their derivatives; false without memory.
template <bool kDerivatives>
bool describe_edges(const EdgeForm& form, double cutoff, Tile& tile) {
    if (!tile.records.reserve((tile.n_records + W) * tile.record + W)) return false;
    const float per_step = float(form.n_steps / cutoff), on_atom = float(form.on_atom);
    const float last = float(form.n_steps) - 0.5f;
    constexpr int kMost = (kDerivatives ? 4 : 1) * (kMaxL + 1) * (kMaxL + 1);
    float fields[(kHarmonics + kHarmonicDerivatives + kMost + W) * W] __attribute__((aligned(64))) = {};
    Vec<W>* rows = reinterpret_cast<Vec<W>*>(fields);
    for (int64_t first = 0; first < tile.n_records; first += W) {
        const int count = int(tile.n_records - first < W ? tile.n_records - first : W);
        const Vec<W> x = load<W>(tile.x.data() + first, count), y = load<W>(tile.y.data() + first, count),
                     z = load<W>(tile.z.data() + first, count);
        const Vec<W> square = x * x + y * y + z * z;
        Vec<W> length;
        for (int i = 0; i < W; ++i) length[i] = sqrtf(square[i]);
        const Vec<W> on = where<W>(length > on_atom, all<W>(1.f), Vec<W>{});
        const Vec<W> inverse = on / where<W>(length > on_atom, length, all<W>(1.f));
        harmonics<W>(x * inverse, y * inverse, z * inverse, on, form.lmax, tile.norm, fields + kHarmonics * W);
        const Vec<W> place = length * per_step;
        const Ints<W> step = __builtin_convertvector(where<W>(place < last, place, all<W>(last)), Ints<W>);
        const Vec<W> t = place - __builtin_convertvector(step, Vec<W>), s = 1.f - t;
        const Ints<W> within = (Ints<W>)load<W>(reinterpret_cast<float*>(tile.within.data()) + first, count);
        const Vec<W> sixth = where<W>(within, all<W>(1.f / 6), Vec<W>{});
        rows[kSpline] = s * s * s * sixth;
        rows[kSpline + 1] = (t * t * (t * 3.f - 6.f) + 4.f) * sixth;
        rows[kSpline + 2] = (s * s * (s * 3.f - 6.f) + 4.f) * sixth;
        rows[kSpline + 3] = t * t * t * sixth;
        if constexpr (kDerivatives) {
            Vec<W>* derivative = rows + derivative_field(form.lmax);
            const Vec<W> half = where<W>(within, all<W>(0.5f * per_step), Vec<W>{});
            derivative[0] = s * s * -half;
            derivative[1] = t * (t * 3.f - 4.f) * half;
            derivative[2] = s * (s * 3.f - 4.f) * -half;
            derivative[3] = t * t * half;
            derivative[kDirection] = x * inverse, derivative[kDirection + 1] = y * inverse, derivative[kDirection + 2] = z * inverse;
            harmonic_derivatives<W>(derivative[kDirection], derivative[kDirection + 1], derivative[kDirection + 2], inverse, form.lmax,
                                   tile.norm, derivative + kHarmonicDerivatives);
        }
        rows[kRow] = (Vec<W>)(step * W);
        memcpy(rows + kSender, tile.sender.data() + first, count * sizeof(int32_t));
        for (int field = 0; field < tile.record; field += W) {
            Vec<W> part[W];
            transpose<W>(fields + field * W, part);
            float* to = tile.records.data() + first * tile.record + field;
            for (int i = 0; i < W; ++i) *reinterpret_cast<Vec<W>*>(to + i * tile.record) = part[i];
        }
    }
    return true;
}

// Sums by probe and vector, [vectors, kTile, W] → rows of kTile probes, by channel.
inline void turn(const float* sums, int vectors, int probes, const int32_t* row_of, float* rows) {
    for (int v = 0; v < vectors; ++v)
        for (int p = 0; p < probes; p += W) {
            Vec<W> part[W];
            transpose<W>(sums + (v * kTile + p) * W, part);
            for (int i = 0; i < W; ++i)
                *reinterpret_cast<Vec<W>*>(rows + int64_t(row_of[v * W + i]) * kTile + p) = part[i];
        }
}

// Rows of kTile probes → by probe: out[p, k] for k < n, `stride` numbers (a multiple of W) to a probe.
inline void turn_back(const float* rows, int n, int probes, float* out, int64_t stride) {
    for (int k = 0; k < n; k += W)
        for (int p = 0; p < probes; p += W) {
            float block[W * W] __attribute__((aligned(64)));
            for (int i = 0; i < W; ++i)
                *reinterpret_cast<Vec<W>*>(block + i * W) =
                    k + i < n ? *reinterpret_cast<const Vec<W>*>(rows + int64_t(k + i) * kTile + p) : Vec<W>{};
            Vec<W> part[W];
            transpose<W>(block, part);
            for (int i = 0; i < W; ++i) *reinterpret_cast<Vec<W>*>(out + (p + i) * stride + k) = part[i];
        }
}

}  // namespace c3n
