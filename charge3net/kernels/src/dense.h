// Products of rows of probes with small matrices: the dense part of a network.
//
// Probes run fastest in memory, kTile to a row; a matrix [inputs, columns] comes as blocks of kColumns columns, each
// [inputs, columns of the block].
#pragma once

#include "tile.h"

namespace c3n {

// Columns of a product at once, for two vectors of probes: what fits the registers.
#if defined(__AVX512F__)
constexpr int kColumns = 13;
#elif defined(__aarch64__)
constexpr int kColumns = 12;
#else
constexpr int kColumns = 6;
#endif

inline const Vec<W>& at(const float* place) { return *reinterpret_cast<const Vec<W>*>(place); }
inline Vec<W>& at(float* place) { return *reinterpret_cast<Vec<W>*>(place); }

// sum[c] += Σ_k x[k] · weights[k, c] for N columns and two vectors of probes
template <int N>
inline void add_rows(const float* x, const float* weights, int rows, Vec<W> (*sum)[2]) {
    for (int k = 0; k < rows; ++k) {
        const Vec<W> first = at(x + k * kTile), second = at(x + k * kTile + W);
        for (int c = 0; c < N; ++c) {
            const float w = weights[k * N + c];
            sum[c][0] += first * w;
            sum[c][1] += second * w;
        }
    }
}

// A product of N columns. Not inlined: then the compiler keeps all sums in registers.
template <int N>
__attribute__((noinline)) void linear_block(const float* x, const float* weights, const float* bias, int inputs, float* y) {
    Vec<W> sum[N][2] = {};
    add_rows<N>(x, weights, inputs, sum);
    for (int c = 0; c < N; ++c)
        for (int i = 0; i < 2; ++i) at(y + c * kTile + i * W) = bias ? sum[c][i] + bias[c] : sum[c][i];
}

template <int N>
inline void some_linear(int columns, const float* x, const float* weights, const float* bias, int inputs, float* y) {
    if (columns == N) return linear_block<N>(x, weights, bias, inputs, y);
    if constexpr (N > 1) some_linear<N - 1>(columns, x, weights, bias, inputs, y);
}

// Matrices and biases one after the other, as the networks use them.
struct Weights {
    const float* next;

    const float* take(int64_t n) {
        const float* taken = next;
        next += n;
        return taken;
    }
};

// y = x · matrix (+ bias) for `probes` probes, a multiple of 2·W; y must not overlap x.
inline void linear(Weights& weights, bool bias, const float* x, int inputs, int outputs, int probes, float* y) {
    const float* matrix = weights.take(int64_t(inputs) * outputs);
    const float* shift = bias ? weights.take(outputs) : nullptr;
    for (int c = 0; c < outputs; c += kColumns) {
        const int columns = outputs - c < kColumns ? outputs - c : kColumns;
        for (int p = 0; p < probes; p += 2 * W)
            some_linear<kColumns>(columns, x + p, matrix, bias ? shift + c : nullptr, inputs, y + c * kTile + p);
        matrix += int64_t(inputs) * columns;
    }
}

template <Vec<W> (*F)(Vec<W>)>
inline void apply(float* x, int rows, int probes) {
    for (int k = 0; k < rows; ++k)
        for (int p = 0; p < probes; p += W) at(x + k * kTile + p) = F(at(x + k * kTile + p));
}

// Two linear layers with an activation between them; `hidden` rows of scratch memory.
template <Vec<W> (*F)(Vec<W>)>
inline void perceptron(Weights& weights, const float* x, int inputs, int hidden, int outputs, int probes, float* scratch,
                       float* y) {
    linear(weights, true, x, inputs, hidden, probes, scratch);
    apply<F>(scratch, hidden, probes);
    linear(weights, true, scratch, hidden, outputs, probes, y);
}

}  // namespace c3n
