// Sums over superposed atoms at probes, and the features that a head is given of them (charge3net/atoms/superposition.py).
//
// Everything is linear in the tabulated functions of the elements, so an edge adds kLanes numbers: four rows of its element's
// table times B-spline weights. Three lanes hold f'/r and are multiplied with the edge's vector: the gradient.
#pragma once

#include "dense.h"

namespace c3n {

constexpr int kSmoothed = 3, kShared = 3, kProperties = 7;
constexpr int kFeatures = 3 + kSmoothed + kShared * kProperties;

// Lanes of a row: f, ∇²f, smoothed f; properties times the three shared functions; f'/r three times; padding.
enum Lane { kDensity = 0, kLaplacian = 1, kSmooth = 2, kShares = kSmooth + kSmoothed, kGradient = 28, kLanes = 32 };

struct Atoms {
    int32_t n_steps;         // of a table over [0, reach]; the reach is the cutoff
    const float* table;      // [elements, n_steps + 3, kLanes]
    const int32_t* element;  // [atoms] table of each
};

// Sums of the tile's probes into [kLanes / W vectors, kTile, W]; `scratch` for 5 numbers an edge.
inline void add_atoms(const Atoms& atoms, double reach, const Tile& tile, float* scratch, float* sums) {
    constexpr int V = kLanes / W, kNumbers = 5;
    const float per_step = float(atoms.n_steps / reach), last = float(atoms.n_steps) - 0.5f;
    const int64_t n = tile.n_records;
    for (int64_t first = 0; first < n; first += W) {
        const int count = int(n - first < W ? n - first : W);
        const Vec<W> x = load<W>(tile.x.data() + first, count), y = load<W>(tile.y.data() + first, count),
                     z = load<W>(tile.z.data() + first, count);
        const Vec<W> square = x * x + y * y + z * z + 1e-8f;
        Vec<W> length;
        for (int i = 0; i < W; ++i) length[i] = sqrtf(square[i]);
        const Vec<W> place = length * per_step;
        const Ints<W> step = __builtin_convertvector(where<W>(place < last, place, all<W>(last)), Ints<W>);
        Vec<W> t = place - __builtin_convertvector(step, Vec<W>);
        t = where<W>(t < 1.f, t, all<W>(1.f));
        const Vec<W> s = 1.f - t;
        const Ints<W> within = (Ints<W>)load<W>(reinterpret_cast<float*>(tile.within.data()) + first, count);
        const Vec<W> sixth = where<W>(within, all<W>(1.f / 6), Vec<W>{});
        const Vec<W> numbers[kNumbers] = {s * s * s * sixth, (t * t * (t * 3.f - 6.f) + 4.f) * sixth,
                                          (s * s * (s * 3.f - 6.f) + 4.f) * sixth, t * t * t * sixth, (Vec<W>)step};
        for (int k = 0; k < kNumbers; ++k) at(scratch + (first / W * kNumbers + k) * W) = numbers[k];
    }
    for (int g = 0; g < tile.n_groups; ++g) {
        const Group& group = tile.groups[g];
        for (int p = 0; p < group.size; ++p) {
            Vec<W> sum[V] = {};
            for (int64_t i = group.first + p; i < tile.groups[g + 1].first; i += group.size) {
                const float* numbers = scratch + i / W * kNumbers * W + i % W;
                const int32_t step = reinterpret_cast<const int32_t*>(numbers)[4 * W];
                const int64_t row = int64_t(atoms.element[tile.sender.data()[i]]) * (atoms.n_steps + 3) + step;
                const Vec<W>* rows = reinterpret_cast<const Vec<W>*>(atoms.table + row * kLanes);
                const float b0 = numbers[0], b1 = numbers[W], b2 = numbers[2 * W], b3 = numbers[3 * W];
                for (int v = 0; v < V; ++v) {
                    Vec<W> value = (rows[v] * b0 + rows[V + v] * b1) + (rows[2 * V + v] * b2 + rows[3 * V + v] * b3);
                    if (v == V - 1) {
                        Vec<W> along = all<W>(1.f);
                        along[kGradient % W] = tile.x.data()[i];
                        along[kGradient % W + 1] = tile.y.data()[i];
                        along[kGradient % W + 2] = tile.z.data()[i];
                        value *= along;
                    }
                    sum[v] += value;
                }
            }
            for (int v = 0; v < V; ++v) at(sums + (v * kTile + group.probe + p) * W) = sum[v];
        }
    }
}

// ln x for normal positive x, to 2 units in the last place: x = 2^e·m with m in [√½, √2), ln m = 2 artanh((m − 1)/(m + 1)).
inline Vec<W> logarithm(Vec<W> x) {
    const Ints<W> bits = (Ints<W>)x;
    const Ints<W> exponent = ((bits - 0x3f3504f3) >> 23);  // √½ begins an octave
    const Vec<W> m = (Vec<W>)(bits - (exponent << 23));
    const Vec<W> s = (m - 1.f) / (m + 1.f), square = s * s;
    Vec<W> p = all<W>(2.f / 9);
    for (int k = 7; k >= 1; k -= 2) p = p * square + 2.f / float(k);
    const Vec<W> e = __builtin_convertvector(exponent, Vec<W>);
    return e * 0.693359375f + (s * p - e * 2.12194440e-4f);
}

// tanh x, to 1e-7
inline Vec<W> hyperbolic_tangent(Vec<W> x) { return 1.f - 2.f / (exponential<W>(x * 2.f) + 1.f); }

inline Vec<W> square_root(Vec<W> x) {
    for (int i = 0; i < W; ++i) x[i] = sqrtf(x[i]);
    return x;
}

// ½(ρ + √(ρ² + δ²)), δ = 0.002 e/Å³
inline Vec<W> positive(Vec<W> density) { return 0.5f * (density + square_root(density * density + 4e-6f)); }

// Standardised features of W probes; around: rows of kTile sums, by lane; factor and shift of each feature before the bound.
inline void local_features(const float* around, int probe, const float* factor, const float* shift, float* out) {
    constexpr float kFloor = 0.01f, kBound = 5.f;
    const auto lane = [&](int k) { return at(around + k * kTile + probe); };
    const Vec<W> dense = positive(lane(kDensity)) + kFloor;
    Vec<W> feature[kFeatures], inverse[kShared];
    feature[0] = logarithm(dense);
    inverse[0] = 1.f / dense;
    const Vec<W> x = lane(kGradient), y = lane(kGradient + 1), z = lane(kGradient + 2);
    feature[1] = square_root(x * x + y * y + z * z + kFloor * kFloor) * inverse[0];
    feature[2] = hyperbolic_tangent(lane(kLaplacian) * inverse[0] * (1.f / 20));
    for (int k = 0; k < kSmoothed; ++k) {
        const Vec<W> smooth = positive(lane(kSmooth + k)) + kFloor;
        feature[3 + k] = logarithm(smooth);
        if (k + 1 < kShared) inverse[k + 1] = 1.f / smooth;
    }
    for (int k = 0; k < kShared; ++k)
        for (int i = 0; i < kProperties; ++i)
            feature[3 + kSmoothed + k * kProperties + i] = lane(kShares + k * kProperties + i) * inverse[k];
    for (int k = 0; k < kFeatures; ++k)
        at(out + k * kTile + probe) = kBound * hyperbolic_tangent(feature[k] * factor[k] + shift[k]);
}

}  // namespace c3n
