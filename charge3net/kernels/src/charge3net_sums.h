// Sums of ChargE3Net's messages into even scalars.
//
//   z[p, c] = Σ_{edges of p} w_c(r) · Σ_m B[atom, c, m] · Y_lm(direction)
//
// A channel c is a copy of an order l in one layer; those of all layers are adjacent, in vectors of W. The edges are
// gone through once per block of a few vectors: the block's part of the radial table then stays in the nearest cache and its
// sums in registers.
#pragma once

#include "tile.h"

namespace c3n {

// Vectors of a block, by order.
#if defined(__AVX512F__)
constexpr int kVectors[kMaxL + 1] = {2, 2, 2, 3, 3, 2, 2};
#else
constexpr int kVectors[kMaxL + 1] = {2, 2, 2, 2, 2, 1, 1};
#endif

struct Channels {
    EdgeForm edges;
    const int32_t* vectors;  // [lmax + 1] vectors of W channels per order
    const float* table;      // per vector [n_steps + 3, W] B-spline coefficients of w
    const float* senders;    // per vector [atoms, 2l+1, W] B

    int count() const {
        int n = 0;
        for (int l = 0; l <= edges.lmax; ++l) n += vectors[l];
        return n;
    }
};

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
    const int64_t table_size = int64_t(channels.edges.n_steps + 3) * W, senders_size = n_atoms * M * W;
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
    if (L > channels.edges.lmax) return;
    const int64_t n = channels.vectors[L];
    add_order<2 * L + 1, kVectors[L]>(channels, n_atoms, tile, int(n), table, senders, sums);
    if constexpr (L < kMaxL)
        add_orders<L + 1>(channels, n_atoms, tile, table + n * (channels.edges.n_steps + 3) * W,
                          senders + n * n_atoms * (2 * L + 1) * W, sums + n * kTile * W);
}

}  // namespace c3n
