// A tile of probes and the edges that end in it; sums of messages into even scalars.
//
//   z[p, c] = Σ_{edges of p} w_c(r) · Σ_m B[atom, c, m] · Y_lm(direction)
//
// A channel c is a copy of an order l in one layer; those of all layers stand side by side, in vectors of W. The edges are
// gone through once per block of a few vectors: the block's part of the radial table then stays in the nearest cache and its
// sums in registers.
#pragma once

#include "neighbors.h"
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
constexpr int kMaxRecords = 1 << 12;  // a tile with more is read, full or not

// Neighbouring probes hear mostly the same atoms. They are summed together, so that what an atom sends is loaded once for
// all of them; measured, 4 take 280 cycles per edge at L = 4, 2 take 350, 1 takes 380 (Zen 4).
#if defined(__AVX512F__)
constexpr int kTogether = 4;
constexpr int kVectors[kMaxL + 1] = {2, 2, 2, 3, 3, 2, 2};
#else
constexpr int kTogether = 2;
constexpr int kVectors[kMaxL + 1] = {2, 2, 2, 2, 2, 1, 1};
#endif

// A record describes one edge: four B-spline weights, first table row times W, sender, Y_lm for l ≥ 1. The records of a
// group alternate; where a probe does not hear an atom that another one of its group hears, its weights are zero.
enum Field { kSpline = 0, kRow = 4, kSender = 5, kHarmonics = 5 };  // Y of order l begins at kHarmonics + l²

struct Group {
    int probe, size;
    int64_t first;  // record
};

struct Channels {
    int32_t lmax, n_steps;
    double on_atom;           // Å; an edge that is shorter has no direction
    const int32_t* vectors;   // [lmax + 1] vectors of W channels per order
    const float* table;       // per vector [n_steps + 3, W] B-spline coefficients of w
    const float* senders;     // per vector [atoms, 2l+1, W] B
};

struct Tile {
    Buffer<float> x, y, z, records, sums, turned, scratch;
    Buffer<int32_t> sender, heard, listed;
    Buffer<int64_t> mask;
    Images region, near;
    int n = 0, n_groups = 0, record = 0;  // record: its size
    int64_t n_records = 0;
    Group groups[kTile + 1];
    int64_t target[kTile];
    float norm[kMaxL + 1][kMaxL + 1];
};

inline int count_vectors(const Channels& channels) {
    int n = 0;
    for (int l = 0; l <= channels.lmax; ++l) n += channels.vectors[l];
    return n;
}

// Lengths, B-spline weights, table rows and spherical harmonics of the tile's edges; false without memory.
inline bool describe_edges(const Channels& channels, double cutoff, Tile& tile) {
    if (!tile.records.reserve((tile.n_records + W) * tile.record + W)) return false;
    const float per_step = float(channels.n_steps / cutoff), on_atom = float(channels.on_atom);
    const float last = float(channels.n_steps) - 0.5f;
    float fields[(kHarmonics + (kMaxL + 1) * (kMaxL + 1) + W) * W] __attribute__((aligned(64))) = {};
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
        harmonics<W>(x * inverse, y * inverse, z * inverse, on, channels.lmax, tile.norm, fields + kHarmonics * W);
        const Vec<W> place = length * per_step;
        const Ints<W> step = __builtin_convertvector(where<W>(place < last, place, all<W>(last)), Ints<W>);
        const Vec<W> t = place - __builtin_convertvector(step, Vec<W>), s = 1.f - t;
        const Ints<W> heard = (Ints<W>)load<W>(reinterpret_cast<float*>(tile.heard.data()) + first, count);
        const Vec<W> sixth = where<W>(heard, all<W>(1.f / 6), Vec<W>{});
        rows[kSpline] = s * s * s * sixth;
        rows[kSpline + 1] = (t * t * (t * 3.f - 6.f) + 4.f) * sixth;
        rows[kSpline + 2] = (s * s * (s * 3.f - 6.f) + 4.f) * sixth;
        rows[kSpline + 3] = t * t * t * sixth;
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

// dot[v][p] += h_m[v] · Y_m[p] for m = First … M-1, four at a time
template <int M, int V, int P, int First>
inline void add_dots(const float* const* record, const float* sender, int64_t senders_size, Vec<W> (*dot)[P]) {
    constexpr int l = (M - 1) / 2;
    if constexpr (First < M) {
        Vec<W> y[P][4];
        for (int p = 0; p < P; ++p) spread<W>(record[p] + kHarmonics + l * l + First, y[p]);
        for (int m = First; m < M && m < First + 4; ++m)
            for (int v = 0; v < V; ++v) {
                const Vec<W> h = *reinterpret_cast<const Vec<W>*>(sender + v * senders_size + m * W);
                for (int p = 0; p < P; ++p) dot[v][p] = m ? dot[v][p] + h * y[p][m - First] : h * y[p][m - First];
            }
        add_dots<M, V, P, First + 4>(record, sender, senders_size, dot);
    }
}

// Sums of V vectors of channels of one order, M = 2l+1, for the P probes of a group: [V, kTile, W].
template <int M, int V, int P>
inline void add_group(const float* records, int64_t edges, int size, const float* table, int64_t table_size,
                      const float* senders, int64_t senders_size, float* sums) {
    Vec<W> sum[V][P] = {};
    for (int64_t e = 0; e < edges; ++e) {
        const float* record[P];
        for (int p = 0; p < P; ++p) record[p] = records + (e * P + p) * size;
        const float* sender = senders + int64_t(reinterpret_cast<const int32_t*>(record[0])[kSender]) * (M * W);
        Vec<W> dot[V][P];
        if constexpr (M == 1) {
            for (int v = 0; v < V; ++v)
                for (int p = 0; p < P; ++p) dot[v][p] = *reinterpret_cast<const Vec<W>*>(sender + v * senders_size);
        } else {
            add_dots<M, V, P, 0>(record, sender, senders_size, dot);
        }
        for (int p = 0; p < P; ++p) {
            Vec<W> b[4];
            spread<W>(record[p] + kSpline, b);
            const float* row = table + reinterpret_cast<const int32_t*>(record[p])[kRow];
            for (int v = 0; v < V; ++v) {
                const Vec<W>* c = reinterpret_cast<const Vec<W>*>(row + v * table_size);
                sum[v][p] += ((c[0] * b[0] + c[1] * b[1]) + (c[2] * b[2] + c[3] * b[3])) * dot[v][p];
            }
        }
    }
    for (int v = 0; v < V; ++v)
        for (int p = 0; p < P; ++p) *reinterpret_cast<Vec<W>*>(sums + (v * kTile + p) * W) = sum[v][p];
}

template <int M, int V>
inline void add_vectors(const Tile& tile, const float* table, int64_t table_size, const float* senders,
                        int64_t senders_size, float* sums) {
    for (int i = 0; i < tile.n_groups; ++i) {
        const Group& group = tile.groups[i];
        const float* records = tile.records.data() + group.first * tile.record;
        const int64_t edges = (tile.groups[i + 1].first - group.first) / group.size;
        float* to = sums + group.probe * W;
        if (group.size == 1)
            add_group<M, V, 1>(records, edges, tile.record, table, table_size, senders, senders_size, to);
        else
            add_group<M, V, kTogether>(records, edges, tile.record, table, table_size, senders, senders_size, to);
    }
}

template <int M, int V>
inline void add_order(const Channels& channels, int64_t n_atoms, const Tile& tile, int vectors, const float* table,
                      const float* senders, float* sums) {
    const int64_t table_size = int64_t(channels.n_steps + 3) * W, senders_size = n_atoms * M * W;
    for (; vectors >= V; vectors -= V) {
        add_vectors<M, V>(tile, table, table_size, senders, senders_size, sums);
        table += V * table_size, senders += V * senders_size, sums += V * kTile * W;
    }
    if constexpr (V > 1) add_order<M, V - 1>(channels, n_atoms, tile, vectors, table, senders, sums);
}

// Message sums of all channels: per vector [kTile, W].
template <int L>
inline void add_orders(const Channels& channels, int64_t n_atoms, const Tile& tile, const float* table,
                       const float* senders, float* sums) {
    if (L > channels.lmax) return;
    const int64_t n = channels.vectors[L];
    add_order<2 * L + 1, kVectors[L]>(channels, n_atoms, tile, int(n), table, senders, sums);
    if constexpr (L < kMaxL)
        add_orders<L + 1>(channels, n_atoms, tile, table + n * (channels.n_steps + 3) * W,
                          senders + n * n_atoms * (2 * L + 1) * W, sums + n * kTile * W);
}

}  // namespace c3n
