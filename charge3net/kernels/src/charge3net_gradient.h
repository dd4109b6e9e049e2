// The derivative of ChargE3Net's density with respect to the probe's position.
//
//   ∇ρ = Σ_c g_c · ∇z_c    g_c = ∂ρ/∂z_c
//   ∇z_c = Σ_{edges of p} [ w_c'(r) · S_c · r̂ + w_c(r) · Σ_m B[atom, c, m] · ∇Y_lm ]    S_c = Σ_m B[atom, c, m] · Y_lm
//
// The sums ∇z run beside those of z, in one pass over the edges; g comes from one pass backwards through the head.
#pragma once

#include "charge3net_head.h"
#include "charge3net_sums.h"

namespace c3n {

// Sums of V vectors of channels of one order, M = 2l+1, for one probe: z, ∂z/∂x, ∂z/∂y, ∂z/∂z, `component` numbers apart.
template <int M, int V>
inline void add_derivatives(const float* records, int64_t edges, int size, int lmax, const float* table, int64_t table_size,
                       const float* senders, int64_t senders_size, float* sums, int64_t component) {
    constexpr int l = (M - 1) / 2;
    const int derivatives = derivative_field(lmax), axis = (lmax + 1) * (lmax + 1) - 1;
    Vec<W> sum[4][V] = {};
    for (int64_t e = 0; e < edges; ++e, records += size) {
        const float* sender = senders + int64_t(reinterpret_cast<const int32_t*>(records)[kSender]) * (M * W);
        const float *y = records + kHarmonics + l * l, *derivative = records + derivatives;
        const float* steep = derivative + kHarmonicDerivatives + l * l - 1;
        Vec<W> dot[4][V];
        for (int m = 0; m < M; ++m)
            for (int v = 0; v < V; ++v) {
                const Vec<W> h = at(const_cast<float*>(sender) + v * senders_size + m * W);
                dot[0][v] = M == 1 ? h : m ? dot[0][v] + h * y[m] : h * y[m];
                if constexpr (M > 1)
                    for (int i = 0; i < 3; ++i)
                        dot[1 + i][v] = m ? dot[1 + i][v] + h * steep[i * axis + m] : h * steep[i * axis + m];
            }
        Vec<W> b[4], d[4];
        spread<W>(records + kSpline, b);
        spread<W>(derivative, d);
        const float* row = table + reinterpret_cast<const int32_t*>(records)[kRow];
        for (int v = 0; v < V; ++v) {
            const Vec<W>* c = reinterpret_cast<const Vec<W>*>(row + v * table_size);
            const Vec<W> w = (c[0] * b[0] + c[1] * b[1]) + (c[2] * b[2] + c[3] * b[3]);
            const Vec<W> radial = ((c[0] * d[0] + c[1] * d[1]) + (c[2] * d[2] + c[3] * d[3])) * dot[0][v];
            sum[0][v] += w * dot[0][v];
            for (int i = 0; i < 3; ++i) {
                sum[1 + i][v] += radial * derivative[kDirection + i];
                if constexpr (M > 1) sum[1 + i][v] += w * dot[1 + i][v];
            }
        }
    }
    for (int i = 0; i < 4; ++i)
        for (int v = 0; v < V; ++v) at(sums + i * component + v * kTile * W) = sum[i][v];
}

template <int M, int V>
inline void add_derivatives_of_order(const Channels& channels, int64_t n_atoms, const Tile& tile, int vectors,
                                const float* table, const float* senders, float* sums, int64_t component) {
    const int64_t table_size = int64_t(channels.edges.n_steps + 3) * W, senders_size = n_atoms * M * W;
    for (; vectors >= V; vectors -= V) {
        for (int i = 0; i < tile.n_groups; ++i) {
            const Group& group = tile.groups[i];
            add_derivatives<M, V>(tile.records.data() + group.first * tile.record, tile.groups[i + 1].first - group.first,
                             tile.record, channels.edges.lmax, table, table_size, senders, senders_size,
                             sums + group.probe * W, component);
        }
        table += V * table_size, senders += V * senders_size, sums += V * kTile * W;
    }
    if constexpr (V > 1)
        add_derivatives_of_order<M, V - 1>(channels, n_atoms, tile, vectors, table, senders, sums, component);
}

// z and ∇z of all channels, four times [vectors, kTile, W].
template <int L>
inline void add_all_derivatives(const Channels& channels, int64_t n_atoms, const Tile& tile, const float* table,
                           const float* senders, float* sums, int64_t component) {
    if (L > channels.edges.lmax) return;
    const int64_t n = channels.vectors[L];
    add_derivatives_of_order<2 * L + 1, 2>(channels, n_atoms, tile, int(n), table, senders, sums, component);
    if constexpr (L < kMaxL)
        add_all_derivatives<L + 1>(channels, n_atoms, tile, table + n * (channels.edges.n_steps + 3) * W,
                              senders + n * n_atoms * (2 * L + 1) * W, sums + n * kTile * W, component);
}

// silu(x) and its derivative.
inline void silu_and_derivative(Vec<W> x, Vec<W>& value, Vec<W>& derivative) {
    const Vec<W> s = sigmoid<W>(x);
    value = x * s;
    derivative = s + value * (1.f - s);
}

// Rows of scratch memory behind those of apply_head: scalars before the activation, their derivatives, those of the inputs.
inline int64_t backward_scratch(const Head& head) {
    const int rows = head.bounds[head.n_layers] + head.n_scalars;
    return int64_t(head.n_layers * head.n_scalars + head.n_scalars + rows) * kTile;
}

// g[k] = Σ ∂(scalars after the last layer, before the activation)/∂z[k] · change, after apply_head; back: per layer from the
// last, the transposed matrix of `mix` in blocks; change: [n_scalars, kTile], is overwritten, the rest of the scratch behind it.
inline void differentiate_layers(const Head& head, const float* back, const float* z, const float* sine, const float* linear_,
                                 int probes, float* change, float* g) {
    const int n = head.n_scalars, layers = head.n_layers;
    const float* cosine = sine + layers * kTile;
    float* inputs = change + n * kTile;  // of a layer
    Vec<W> value, derivative;
    Weights matrices = {back};
    for (int t = layers - 1; t >= 0; --t) {
        const int first = head.bounds[t], messages = head.bounds[t + 1] - first;
        linear(matrices, false, change, n, messages + (t ? n : 0), probes, inputs);
        const float *before = linear_ + int64_t(t - 1) * n * kTile, *of_scalars = inputs + messages * kTile;
        for (int p = 0; p < probes; p += W) {
            const Vec<W> s = at(sine + t * kTile + p), c = at(cosine + t * kTile + p);
            Vec<W> by_sine = {}, by_cosine = {};
            for (int k = 0; k < messages; ++k) by_sine += at(z + (first + k) * kTile + p) * at(inputs + k * kTile + p);
            if (t)
                for (int k = 0; k < n; ++k) {
                    const Vec<W> d = at(of_scalars + k * kTile + p);
                    silu_and_derivative(at(before + k * kTile + p), value, derivative);
                    by_cosine += d * value;
                    at(change + k * kTile + p) = d * c * derivative;
                }
            const Vec<W> by_angle = c * by_sine - s * by_cosine;
            for (int k = 0; k < messages; ++k)
                at(g + (first + k) * kTile + p) = s * at(inputs + k * kTile + p) + by_angle * head.angle[first + k];
        }
    }
    memset(g + int64_t(head.bounds[layers]) * kTile, 0, kTile * sizeof(float));  // for padding
}

// g[k] = ∂ρ/∂z[k] of one channel.
inline void differentiate_head(const Head& head, const float* back, int channel, const float* z, const float* sine,
                               const float* linear_, int probes, float* scratch, float* g) {
    const int n = head.n_scalars, layers = head.n_layers;
    const float* readout = head.readout + channel * n;
    Vec<W> value, derivative;
    for (int c = 0; c < n; ++c)
        for (int p = 0; p < probes; p += W) {
            silu_and_derivative(at(linear_ + int64_t((layers - 1) * n + c) * kTile + p), value, derivative);
            at(scratch + c * kTile + p) = derivative * readout[c];
        }
    differentiate_layers(head, back, z, sine, linear_, probes, scratch, g);
}

// out[i, p] = Σ_c g[c, p] · ∂z[c, p]/∂x_i; sums: ∂z/∂x, ∂z/∂y, ∂z/∂z, each [vectors, kTile, W], `component` numbers apart.
inline void project(const float* g, const int32_t* row_of, const float* sums, int64_t component, int vectors, int probes,
                    float* out) {
    for (int p = 0; p < probes; p += W) {
        Vec<W> total[3][W] = {};
        for (int v = 0; v < vectors; ++v) {
            float block[W * W] __attribute__((aligned(64)));
            for (int i = 0; i < W; ++i) at(block + i * W) = at(g + int64_t(row_of[v * W + i]) * kTile + p);
            Vec<W> part[W];
            transpose<W>(block, part);
            for (int i = 0; i < 3; ++i)
                for (int k = 0; k < W; ++k) total[i][k] += part[k] * at(sums + i * component + (v * kTile + p + k) * W);
        }
        for (int i = 0; i < 3; ++i) {
            exchange_all<W, 1>(total[i]);
            Vec<W> sum = {};
            for (int k = 0; k < W; ++k) sum += total[i][k];
            at(out + i * kTile + p) = sum;
        }
    }
}

}  // namespace c3n
