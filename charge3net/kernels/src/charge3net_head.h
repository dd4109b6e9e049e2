// The dense part of ChargE3Net: message sums → scalars of each layer → density.
//
//   a = angle·z    s = silu(sin a · (z · mix) + cos a · (s · own))    (first layer: no s before)    ρ = s · readout
//
// All factors (1/√fan-in, activation constants) are already in the weights.
#pragma once

#include "dense.h"

namespace c3n {

struct Head {
    int32_t n_layers, n_scalars, channels;
    const int32_t* bounds;   // [layers + 1] messages of layer t are rows bounds[t] … of z
    const int32_t* rows;     // [vectors · W] row of z for each channel; for padding: one behind the last
    const float* angle;      // one factor per row
    const float* mix;        // per layer, blocks of kColumns columns: [messages, then scalars; columns of the block]
    const float* readout;    // [channels, scalars]
};

struct Product {
    const float *messages, *sine;  // rows of message sums, the factor of all of them
    const float* scalars;          // rows of the scalars of the layer before, their factor already in
    const float* next;             // factor of the scalars that come out
    float* linear;                 // gets them before the activation, or null
    int n_messages, n_scalars;
};

// N columns of the next scalars, for two vectors of probes. Not inlined: then the compiler keeps all sums in registers.
template <int N>
__attribute__((noinline)) void product(const Product& of, int probe, const float* weights, float* y) {
    Vec<W> sum[N][2] = {};
    add_rows<N>(of.messages + probe, weights, of.n_messages, sum);
    for (int i = 0; i < 2; ++i) {
        const Vec<W> sine = at(of.sine + probe + i * W);
        for (int c = 0; c < N; ++c) sum[c][i] *= sine;
    }
    if (of.n_scalars) add_rows<N>(of.scalars + probe, weights + of.n_messages * N, of.n_scalars, sum);
    if (of.linear)
        for (int c = 0; c < N; ++c)
            for (int i = 0; i < 2; ++i) at(of.linear + c * kTile + probe + i * W) = sum[c][i];
    for (int i = 0; i < 2; ++i) {
        const Vec<W> next = at(of.next + probe + i * W);
        for (int c = 0; c < N; ++c) at(y + c * kTile + probe + i * W) = silu<W>(sum[c][i]) * next;
    }
}

template <int N>
inline void some_columns(int columns, const Product& of, int probe, const float* weights, float* y) {
    if (columns == N) return product<N>(of, probe, weights, y);
    if constexpr (N > 1) some_columns<N - 1>(columns, of, probe, weights, y);
}

// out[p] = Σ_k x[k, p] · factor[k]
inline void dot_rows(const float* x, const float* factor, int rows, int probes, float* out) {
    for (int p = 0; p < probes; p += 2 * W) {
        Vec<W> first = {}, second = {};
        for (int k = 0; k < rows; ++k) {
            first += at(x + k * kTile + p) * factor[k];
            second += at(x + k * kTile + p + W) * factor[k];
        }
        at(out + p) = first, at(out + p + W) = second;
    }
}

// Floats of scratch memory.
inline int64_t head_scratch(const Head& head) { return int64_t(2 * head.n_scalars + 2 * head.n_layers + 1) * kTile; }

// Sines of the angles in the scratch memory, one row per layer; then the cosines, and a row of ones.
inline float* sines(const Head& head, float* scratch) { return scratch + int64_t(2 * head.n_scalars) * kTile; }

// z: rows of kTile; probes: a multiple of 2·W; out: [channels, kTile]; linear: null, or gets the scalars of all layers
// before the activation, [layers, n_scalars, kTile].
inline void apply_head(const Head& head, const float* z, int probes, float* scratch, float* linear, float* out) {
    const int n = head.n_scalars, layers = head.n_layers;
    float *before = scratch, *after = before + n * kTile;
    float *sine = sines(head, scratch), *cosine = sine + layers * kTile;
    for (int t = 0; t < layers; ++t) {
        const int first = head.bounds[t], rows = head.bounds[t + 1] - first;
        float *s = sine + t * kTile, *c = cosine + t * kTile;
        dot_rows(z + int64_t(first) * kTile, head.angle + first, rows, probes, s);
        for (int p = 0; p < probes; ++p) c[p] = cosf(s[p]), s[p] = sinf(s[p]);
    }
    for (int p = 0; p < probes; ++p) cosine[layers * kTile + p] = 1.f;
    const float* mix = head.mix;
    for (int t = 0; t < layers; ++t) {
        const int rows = head.bounds[t + 1] - head.bounds[t];
        Product of = {z + int64_t(head.bounds[t]) * kTile, sine + t * kTile, before, cosine + (t + 1) * kTile, nullptr,
                      rows, t ? n : 0};
        for (int c = 0; c < n; c += kColumns) {
            const int columns = n - c < kColumns ? n - c : kColumns;
            if (linear) of.linear = linear + int64_t(t * n + c) * kTile;
            for (int p = 0; p < probes; p += 2 * W) some_columns<kColumns>(columns, of, p, mix, after + c * kTile);
            mix += int64_t(of.n_messages + of.n_scalars) * columns;
        }
        float* swap = before;
        before = after, after = swap;
    }
    for (int channel = 0; channel < head.channels; ++channel)
        dot_rows(before, head.readout + channel * n, n, probes, out + channel * kTile);
}

}  // namespace c3n
