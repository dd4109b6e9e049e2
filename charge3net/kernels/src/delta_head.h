// What is learned on top of fitted atoms (charge3net/models/delta.py): the parts that density and gradient share.
#pragma once

#include "atom_sums.h"

namespace c3n {

struct DeltaHead {
    int32_t width;                // hidden units; 0: fitted atoms alone
    const float *factor, *shift;  // of the features
    const float* weights;         // of three linear layers
};

constexpr float kThin = 0.02f, kSilu = 1.6791767923989418f;  // e/Å³; the constant of the activation

// 1 among atoms, 0 where none is in reach: s²/(s² + s₀²) of the most smoothed density
inline Vec<W> presence(Vec<W> smooth) {
    const Vec<W> squared = smooth * smooth;
    return squared / (squared + 4e-6f);
}

// Scalars over √(1 + c² · their mean square); c, the constant of the activation, is in the weights of the head too.
inline void normalise(const float* scalars, int n, int probes, float* out) {
    for (int p = 0; p < probes; p += W) {
        Vec<W> squares = {};
        for (int k = 0; k < n; ++k) squares += at(scalars + k * kTile + p) * at(scalars + k * kTile + p);
        const Vec<W> inverse = 1.f / square_root(squares * (kSilu * kSilu / float(n)) + 1.f);
        for (int k = 0; k < n; ++k) at(out + k * kTile + p) = at(scalars + k * kTile + p) * inverse;
    }
}

}  // namespace c3n
