// Reading fitted atoms, and what is learned on top of them (charge3net/models/fitted_atoms.py, delta.py).
#include "charge3net_head.h"
#include "charge3net_sums.h"
#include "delta_head.h"
#include "evaluate.h"

namespace {

using namespace c3n;

struct Delta {
    int32_t channels;
    double reach;
    Atoms atoms;
    Channels sums;  // of the network: without layers there is none
    Head layers;
    DeltaHead head;

    static constexpr TileForm tile = {true};
    int numbers() const { return channels; }
    const EdgeForm& form() const { return sums.edges; }
    int64_t lanes() const { return layers.n_layers ? int64_t(sums.count()) * W : 0; }
    int64_t layers_scratch() const { return layers.n_layers ? head_scratch(layers) : 0; }

    bool prepare(Tile& tile) const {
        prepare_edges(sums.edges, tile);
        const int64_t all = lanes() + kLanes;
        if (!tile.sums.reserve(all * kTile) || !tile.turned.reserve((all + 1) * kTile)) return false;
        memset(tile.sums.data(), 0, all * kTile * sizeof(float));  // a tile that is not full leaves some as they were
        return true;
    }

    // Rows of the scratch memory: layers of the network, input of the head, two hidden layers; then what edges need.
    bool evaluate(int64_t n_atoms, Tile& tile, int probes, float* out) const {
        const int scalars = layers.n_layers ? layers.n_scalars : 0, inputs = kFeatures + scalars;
        const int64_t rows = layers_scratch() + int64_t(inputs + 2 * head.width) * kTile;
        if (!tile.scratch.reserve(rows + 5 * (tile.n_records + W))) return false;
        float* known = tile.scratch.data() + layers_scratch();
        float *hidden = known + inputs * kTile, *more = hidden + head.width * kTile;
        float *sums_of_atoms = tile.sums.data() + lanes() * kTile, *around = tile.turned.data() + lanes() * kTile;
        add_atoms(atoms, reach, tile, tile.scratch.data() + rows, sums_of_atoms);
        if (layers.n_layers) {
            add_orders<0>(sums, n_atoms, tile, sums.table, sums.senders, tile.sums.data());
            turn(tile.sums.data(), sums.count(), probes, layers.rows, tile.turned.data());
            apply_head(layers, tile.turned.data(), probes, tile.scratch.data(), nullptr, nullptr);
            normalise(tile.scratch.data() + (layers.n_layers % 2 ? int64_t(scalars) * kTile : 0), scalars, probes,
                      known + kFeatures * kTile);
        }
        int32_t same[kLanes];
        for (int k = 0; k < kLanes; ++k) same[k] = k;
        turn(sums_of_atoms, kLanes / W, probes, same, around);  // over the row that padding went to
        if (!head.width) {
            memcpy(out, around + kDensity * kTile, probes * sizeof(float));
            return true;
        }
        for (int p = 0; p < probes; p += W) local_features(around, p, head.factor, head.shift, known);
        Weights next = {head.weights};
        linear(next, true, known, inputs, head.width, probes, hidden);
        apply<silu<W>>(hidden, head.width, probes);
        linear(next, true, hidden, head.width, head.width, probes, more);
        apply<silu<W>>(more, head.width, probes);
        linear(next, true, more, head.width, channels, probes, out);
        for (int p = 0; p < probes; p += W) {
            const Vec<W> density = at(around + kDensity * kTile + p), smooth = at(around + (kSmooth + kSmoothed - 1) * kTile + p);
            const Vec<W> scale = presence(smooth) * square_root(positive(density) + kThin);
            for (int k = 0; k < channels; ++k) at(out + k * kTile + p) = at(out + k * kTile + p) * scale;
            at(out + p) = at(out + p) + density;
        }
        return true;
    }
};

}  // namespace

// Returns 0, or 1 without memory.
C3N_EXPORT int c3n_density_delta(const EvaluationJob<Delta>* job) { return evaluate_points(job); }
