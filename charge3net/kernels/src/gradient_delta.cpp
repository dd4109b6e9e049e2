// Reading fitted atoms, and what is learned on top of them, with the gradient.
//
//   ρ = ρ_atoms + P(s) · √(ρ⁺ + 0.02) · MLP(features of the lanes, scalars of the network)
//
// Sums over atoms and edges come with their derivatives; ∂ρ/∂(sum) comes from one pass backwards through the dense part.
#include "atom_gradient.h"
#include "charge3net_gradient.h"
#include "delta_head.h"
#include "evaluate.h"

namespace {

using namespace c3n;

struct DeltaGradient {
    int32_t channels;
    double reach;
    Atoms atoms;
    Channels sums;  // of the network: without layers there is none
    Head layers;
    DeltaHead head;
    const float* back;       // see differentiate_layers
    const float* back_head;  // transposed: second and first matrix of the head
    const float* readout;    // [channels, width] the last one

    static constexpr TileForm tile = {false, 32, 1 << 10, true};
    int numbers() const { return 4 * channels; }
    const EdgeForm& form() const { return sums.edges; }
    int64_t component() const { return layers.n_layers ? int64_t(sums.count()) * W * kTile : 0; }
    int scalars() const { return layers.n_layers ? layers.n_scalars : 0; }
    int64_t messages() const { return layers.n_layers ? layers.bounds[layers.n_layers] + 1 : 0; }

    bool prepare(Tile& tile) const {
        prepare_edges(sums.edges, tile, true);
        const int64_t all = 4 * (component() + int64_t(kLanes) * kTile);
        if (!tile.sums.reserve(all) || !tile.turned.reserve((2 * messages() + kLanes) * kTile)) return false;
        memset(tile.sums.data(), 0, all * sizeof(float));  // a tile that is not full leaves some as they were
        return true;
    }

    // Rows of the scratch memory of a tile.
    struct Rows {
        float *layers, *linear, *known, *first, *hidden, *second, *more, *change, *back, *inputs, *of_lanes, *part, *edges;
    };

    bool take(Tile& tile, Rows& rows) const {
        const int width = head.width, inputs = kFeatures + scalars();
        const int64_t forward = layers.n_layers ? head_scratch(layers) : 0;
        const int64_t backward = layers.n_layers ? backward_scratch(layers) : 0;
        const int64_t dense = int64_t(2 * inputs + 6 * width + kLanes + 3) * kTile;
        if (!tile.scratch.reserve(forward + backward + dense + kDerivativeNumbers * (tile.n_records + W))) return false;
        float* next = tile.scratch.data();
        const auto taken = [&](int64_t size) { return next += size, next - size; };
        rows.layers = taken(forward), rows.linear = taken(backward);
        rows.known = taken(int64_t(inputs) * kTile), rows.inputs = taken(int64_t(inputs) * kTile);
        for (float** row : {&rows.first, &rows.hidden, &rows.second, &rows.more, &rows.change, &rows.back})
            *row = taken(int64_t(width) * kTile);
        rows.of_lanes = taken(int64_t(kLanes) * kTile), rows.part = taken(3 * kTile), rows.edges = next;
        return true;
    }

    bool evaluate(int64_t n_atoms, Tile& tile, int probes, float* out) const {
        Rows rows;
        if (!take(tile, rows)) return false;
        const int64_t of_atoms = int64_t(kLanes) * kTile;
        float *lanes = tile.sums.data() + 4 * component(), *around = tile.turned.data() + 2 * messages() * kTile;
        int32_t same[kLanes];
        for (int k = 0; k < kLanes; ++k) same[k] = k;
        add_atom_derivatives(atoms, reach, tile, rows.edges, lanes, of_atoms);
        turn(lanes, kLanes / W, probes, same, around);
        if (head.width) forward(n_atoms, tile, probes, around, rows, out);
        for (int channel = 0; channel < channels; ++channel) {
            float* slope = out + (channels + 3 * channel) * kTile;
            memset(rows.of_lanes, 0, of_atoms * sizeof(float));
            if (head.width) backward(tile, probes, around, rows, channel, out + channel * kTile);
            if (!channel)
                for (int p = 0; p < probes; p += W) {
                    const Vec<W> density = at(around + kDensity * kTile + p);
                    at(out + p) = head.width ? at(out + p) + density : density;
                    at(rows.of_lanes + kDensity * kTile + p) = at(rows.of_lanes + kDensity * kTile + p) + 1.f;
                }
            project(rows.of_lanes, same, lanes + of_atoms, of_atoms, kLanes / W, probes, slope);
            if (!layers.n_layers) continue;
            project(tile.turned.data() + messages() * kTile, layers.rows, tile.sums.data() + component(), component(),
                    sums.count(), probes, rows.part);
            for (int p = 0; p < 3 * kTile; p += W) at(slope + p) = at(slope + p) + at(rows.part + p);
        }
        return true;
    }

    const float* last_scalars(const Rows& rows) const {
        return rows.layers + (layers.n_layers % 2 ? int64_t(scalars()) * kTile : 0);
    }

    // out[channel]: what the head gives, before its scale.
    void forward(int64_t n_atoms, Tile& tile, int probes, const float* around, const Rows& rows, float* out) const {
        const int width = head.width;
        if (layers.n_layers) {
            add_all_derivatives<0>(sums, n_atoms, tile, sums.table, sums.senders, tile.sums.data(), component());
            turn(tile.sums.data(), sums.count(), probes, layers.rows, tile.turned.data());
            apply_head(layers, tile.turned.data(), probes, rows.layers, rows.linear, nullptr);
            normalise(last_scalars(rows), scalars(), probes, rows.known + kFeatures * kTile);
        }
        for (int p = 0; p < probes; p += W) local_features(around, p, head.factor, head.shift, rows.known);
        Weights next = {head.weights};
        linear(next, true, rows.known, kFeatures + scalars(), width, probes, rows.first);
        activate(rows.first, width, probes, rows.hidden);
        linear(next, true, rows.hidden, width, width, probes, rows.second);
        activate(rows.second, width, probes, rows.more);
        linear(next, true, rows.more, width, channels, probes, out);
    }

    static void activate(const float* x, int rows, int probes, float* y) {
        for (int k = 0; k < rows; ++k)
            for (int p = 0; p < probes; p += W) at(y + k * kTile + p) = silu<W>(at(x + k * kTile + p));
    }

    // Scales the channel, and fills of_lanes and the rows behind z: its derivatives with respect to the sums.
    void backward(Tile& tile, int probes, const float* around, const Rows& rows, int channel, float* out) const {
        const int width = head.width;
        Vec<W> value, derivative;
        for (int p = 0; p < probes; p += W) {
            const Vec<W> density = at(around + kDensity * kTile + p), smooth = at(around + (kSmooth + kSmoothed - 1) * kTile + p);
            const Vec<W> there = presence(smooth), root = square_root(positive(density) + kThin), scale = there * root;
            const Vec<W> sum = smooth * smooth + 4e-6f, given = at(out + p);
            at(rows.of_lanes + kDensity * kTile + p) = given * there * positive_slope(density) * 0.5f / root;
            at(rows.of_lanes + (kSmooth + kSmoothed - 1) * kTile + p) = given * root * smooth * 8e-6f / (sum * sum);
            at(out + p) = given * scale;
            for (int k = 0; k < width; ++k) {
                silu_and_derivative(at(rows.second + k * kTile + p), value, derivative);
                at(rows.change + k * kTile + p) = derivative * scale * readout[channel * width + k];
            }
        }
        Weights next = {back_head};
        linear(next, false, rows.change, width, width, probes, rows.back);
        for (int k = 0; k < width; ++k)
            for (int p = 0; p < probes; p += W) {
                silu_and_derivative(at(rows.first + k * kTile + p), value, derivative);
                at(rows.back + k * kTile + p) = at(rows.back + k * kTile + p) * derivative;
            }
        linear(next, false, rows.back, width, kFeatures + scalars(), probes, rows.inputs);
        for (int p = 0; p < probes; p += W)
            differentiate_features(around, p, head.factor, rows.known, rows.inputs, rows.of_lanes);
        if (layers.n_layers) through_layers(tile, probes, rows);
    }

    // From ∂ρ/∂(normalised scalars), the rows of `inputs` behind the features, to the rows behind z.
    void through_layers(Tile& tile, int probes, const Rows& rows) const {
        const int n = scalars();
        const float *scalar = last_scalars(rows), *of_normal = rows.inputs + kFeatures * kTile;
        const float* last = rows.linear + int64_t((layers.n_layers - 1) * n) * kTile;
        float* change = rows.linear + int64_t(layers.n_layers) * n * kTile;
        Vec<W> value, derivative;
        for (int p = 0; p < probes; p += W) {
            Vec<W> squares = {}, both = {};
            for (int k = 0; k < n; ++k) {
                const Vec<W> s = at(scalar + k * kTile + p);
                squares += s * s, both += s * at(of_normal + k * kTile + p);
            }
            const Vec<W> inverse = 1.f / square_root(squares * (kSilu * kSilu / float(n)) + 1.f);
            const Vec<W> shared = both * inverse * inverse * inverse * (kSilu * kSilu / float(n));
            for (int k = 0; k < n; ++k) {
                silu_and_derivative(at(last + k * kTile + p), value, derivative);
                const Vec<W> of_scalar = inverse * at(of_normal + k * kTile + p) - shared * at(scalar + k * kTile + p);
                at(change + k * kTile + p) = of_scalar * derivative;
            }
        }
        float* z = tile.turned.data();
        differentiate_layers(layers, back, z, sines(layers, rows.layers), rows.linear, probes, change, z + messages() * kTile);
    }
};

}  // namespace

// Returns 0, or 1 without memory.
C3N_EXPORT int c3n_gradient_delta(const EvaluationJob<DeltaGradient>* job) { return evaluate_points(job); }
