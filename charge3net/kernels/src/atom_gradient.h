// Sums over superposed atoms and their derivatives with respect to the probe's position, and the way back through the features.
#pragma once

#include "atom_sums.h"

namespace c3n {

constexpr int kDerivativeNumbers = 12;  // of an edge: four spline weights, the first row, four derivatives, the direction

// What add_atoms gives, then ∂/∂x, ∂/∂y, ∂/∂z of it, each `component` numbers apart; every group has one probe.
inline void add_atom_derivatives(const Atoms& atoms, double reach, const Tile& tile, float* scratch, float* sums,
                                 int64_t component) {
    constexpr int V = kLanes / W, N = kDerivativeNumbers;
    const float per_step = float(atoms.n_steps / reach), last = float(atoms.n_steps) - 0.5f;
    const int64_t n = tile.n_records;
    for (int64_t first = 0; first < n; first += W) {
        const int count = int(n - first < W ? n - first : W);
        const Vec<W> x = load<W>(tile.x.data() + first, count), y = load<W>(tile.y.data() + first, count),
                     z = load<W>(tile.z.data() + first, count);
        const Vec<W> length = square_root(x * x + y * y + z * z + 1e-8f), inverse = 1.f / length;
        const Vec<W> place = length * per_step;
        const Ints<W> step = __builtin_convertvector(where<W>(place < last, place, all<W>(last)), Ints<W>);
        Vec<W> t = place - __builtin_convertvector(step, Vec<W>);
        t = where<W>(t < 1.f, t, all<W>(1.f));
        const Vec<W> s = 1.f - t;
        const float sixth = 1.f / 6, half = 0.5f * per_step;
        const Vec<W> numbers[N] = {s * s * s * sixth,
                                   (t * t * (t * 3.f - 6.f) + 4.f) * sixth,
                                   (s * s * (s * 3.f - 6.f) + 4.f) * sixth,
                                   t * t * t * sixth,
                                   (Vec<W>)step,
                                   s * s * -half,
                                   t * (t * 3.f - 4.f) * half,
                                   s * (s * 3.f - 4.f) * -half,
                                   t * t * half,
                                   x * inverse,
                                   y * inverse,
                                   z * inverse};
        for (int k = 0; k < N; ++k) at(scratch + (first / W * N + k) * W) = numbers[k];
    }
    for (int g = 0; g < tile.n_groups; ++g) {
        const Group& group = tile.groups[g];
        Vec<W> sum[4][V] = {};
        for (int64_t i = group.first; i < tile.groups[g + 1].first; ++i) {
            const float* number = scratch + i / W * N * W + i % W;
            const int32_t step = reinterpret_cast<const int32_t*>(number)[4 * W];
            const int64_t row = int64_t(atoms.element[tile.sender.data()[i]]) * (atoms.n_steps + 3) + step;
            const Vec<W>* rows = reinterpret_cast<const Vec<W>*>(atoms.table + row * kLanes);
            const auto read = [&](int v, int from) {
                return (rows[v] * number[from * W] + rows[V + v] * number[(from + 1) * W]) +
                       (rows[2 * V + v] * number[(from + 2) * W] + rows[3 * V + v] * number[(from + 3) * W]);
            };
            for (int v = 0; v < V; ++v) {
                const Vec<W> value = read(v, 0);
                Vec<W> along = all<W>(1.f);
                if (v == V - 1) {
                    along[kGradient % W] = tile.x.data()[i];
                    along[kGradient % W + 1] = tile.y.data()[i];
                    along[kGradient % W + 2] = tile.z.data()[i];
                }
                const Vec<W> radial = read(v, 5) * along;
                sum[0][v] += value * along;
                for (int k = 0; k < 3; ++k) {
                    sum[1 + k][v] += radial * number[(9 + k) * W];
                    if (v == V - 1) sum[1 + k][v][kGradient % W + k] += value[kGradient % W + k];
                }
            }
        }
        for (int k = 0; k < 4; ++k)
            for (int v = 0; v < V; ++v) at(sums + k * component + (v * kTile + group.probe) * W) = sum[k][v];
    }
}

// ∂positive(ρ)/∂ρ
inline Vec<W> positive_slope(Vec<W> density) { return 0.5f + 0.5f * density / square_root(density * density + 4e-6f); }

// out[lane] += Σ_k change[k] · ∂known[k]/∂lane for W probes; known: what local_features gave.
inline void differentiate_features(const float* around, int probe, const float* factor, const float* known, const float* change,
                                   float* out) {
    constexpr float kFloor = 0.01f, kBound = 5.f;
    const auto lane = [&](int k) { return at(around + k * kTile + probe); };
    const auto add = [&](int k, Vec<W> value) { at(out + k * kTile + probe) = at(out + k * kTile + probe) + value; };
    const auto of = [&](int k) {  // ∂/∂ feature k, before the bound
        const Vec<W> bounded = at(known + k * kTile + probe) * (1.f / kBound);
        return at(change + k * kTile + probe) * (1.f - bounded * bounded) * (kBound * factor[k]);
    };
    Vec<W> whole[1 + kSmoothed], inverse[1 + kSmoothed], slope[1 + kSmoothed];  // the density, then the smoothed ones
    for (int k = 0; k < 1 + kSmoothed; ++k) {
        whole[k] = positive(lane(k ? kSmooth + k - 1 : kDensity)) + kFloor;
        inverse[k] = 1.f / whole[k];
        slope[k] = of(k ? 2 + k : 0) * inverse[k];  // of the logarithm
    }
    const Vec<W> x = lane(kGradient), y = lane(kGradient + 1), z = lane(kGradient + 2), dense = inverse[0];
    const Vec<W> steep = square_root(x * x + y * y + z * z + kFloor * kFloor), by_steep = of(1) * dense;
    slope[0] -= by_steep * steep * dense;
    add(kGradient, by_steep * x / steep);
    add(kGradient + 1, by_steep * y / steep);
    add(kGradient + 2, by_steep * z / steep);
    const Vec<W> curved = lane(kLaplacian) * dense * (1.f / 20), tangent = hyperbolic_tangent(curved);
    const Vec<W> by_curved = of(2) * (1.f - tangent * tangent);
    add(kLaplacian, by_curved * dense * (1.f / 20));
    slope[0] -= by_curved * curved * dense;
    for (int k = 0; k < kShared; ++k)
        for (int i = 0; i < kProperties; ++i) {
            const int place = k * kProperties + i;
            const Vec<W> by_share = of(3 + kSmoothed + place) * inverse[k];
            add(kShares + place, by_share);
            slope[k] -= by_share * lane(kShares + place) * inverse[k];
        }
    for (int k = 0; k < 1 + kSmoothed; ++k) {
        const int from = k ? kSmooth + k - 1 : kDensity;
        add(from, slope[k] * positive_slope(lane(from)));
    }
}

}  // namespace c3n
