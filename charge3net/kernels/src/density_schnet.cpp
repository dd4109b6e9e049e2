// Reading SchNet (DeepDFT's invariant network). From the second layer on a message depends on the probe's state too:
//
//   Σ_edges w(r) ∘ (softplus(a_atom + c_probe) · node_out + bias)
//
// w from a table; a per atom and c per probe are the halves of the first linear map. The product runs edge after edge in
// registers. In the first layer c is zero and the whole bracket a matter of the atom.
#include "charge3net_sums.h"
#include "dense.h"
#include "evaluate.h"

namespace {

using namespace c3n;

// Edges and vectors of channels of a product at once.
#if defined(__AVX512F__)
constexpr int kEdges = 6, kWide = 4;
#else
constexpr int kEdges = 3, kWide = 4;
#endif

// y[e, v] = Σ_k x[e, k] · weights[k, v]; x and weights have rows of their own length.
template <int E, int V>
__attribute__((noinline)) void edge_product(const float* x, int64_t x_row, int inputs, const float* weights,
                                            int64_t weights_row, const float* bias, Vec<W> (*y)[kWide]) {
    Vec<W> sum[E][V];
    for (int v = 0; v < V; ++v)
        for (int e = 0; e < E; ++e) sum[e][v] = *reinterpret_cast<const Vec<W>*>(bias + v * W);
    for (int k = 0; k < inputs; ++k) {
        Vec<W> w[V];
        for (int v = 0; v < V; ++v) w[v] = *reinterpret_cast<const Vec<W>*>(weights + k * weights_row + v * W);
        for (int e = 0; e < E; ++e)
            for (int v = 0; v < V; ++v) sum[e][v] += w[v] * x[e * x_row + k];
    }
    for (int e = 0; e < E; ++e)
        for (int v = 0; v < V; ++v) y[e][v] = sum[e][v];
}

template <int E>
inline void some_product(int edges, int wide, const float* x, int64_t x_row, int inputs, const float* weights,
                         int64_t weights_row, const float* bias, Vec<W> (*y)[kWide]) {
    if (edges < E) {
        if constexpr (E > 1) some_product<E - 1>(edges, wide, x, x_row, inputs, weights, weights_row, bias, y);
        return;
    }
    if (wide == 4) return edge_product<E, 4>(x, x_row, inputs, weights, weights_row, bias, y);
    for (int v = 0; v < wide; ++v) {
        Vec<W> one[E][kWide];
        edge_product<E, 1>(x, x_row, inputs, weights + v * W, weights_row, bias + v * W, one);
        for (int e = 0; e < E; ++e) y[e][v] = one[e][0];
    }
}

struct SchNet {
    int32_t channels, features, layers;
    EdgeForm edges;
    const int32_t* rows;    // [vectors · W] row of each summed number; for padding: features
    const float* table;     // per layer and vector [n_steps + 3, W]
    const float* first;     // per vector [atoms, W]: what atoms send in the first layer
    const float* senders;   // per later layer [atoms, width()]: a
    const float* node_out;  // per later layer [2 · features, vectors · W], then [vectors · W] bias
    const float* weights;

    static constexpr TileForm tile = {false};
    int numbers() const { return channels; }
    const EdgeForm& form() const { return edges; }
    int vectors() const { return (features + W - 1) / W; }
    int64_t width() const { return (2 * features + W - 1) / W * W; }

    bool prepare(Tile& tile) const {
        prepare_edges(edges, tile);
        const int64_t sums = int64_t(vectors()) * W * kTile;
        if (!tile.sums.reserve(sums) || !tile.turned.reserve((features + 1) * kTile)) return false;
        memset(tile.sums.data(), 0, sums * sizeof(float));
        return tile.scratch.reserve((5 * features + width()) * kTile + kEdges * width());
    }

    void add_first(int64_t n_atoms, Tile& tile) const {
        const int64_t table_size = int64_t(edges.n_steps + 3) * W;
        for (int v = 0; v < vectors(); ++v)
            add_vectors<1, 1>(tile, table + v * table_size, table_size, first + v * n_atoms * W, n_atoms * W,
                              tile.sums.data() + int64_t(v) * kTile * W);
    }

    // c: [kTile, width()]; x: kEdges rows of memory
    void add_later(int64_t n_atoms, Tile& tile, int layer, const float* c, float* x) const {
        const int64_t table_size = int64_t(edges.n_steps + 3) * W, out = int64_t(vectors()) * W, size = tile.record;
        const float* filters = table + int64_t(layer) * vectors() * table_size;
        const float* sent = senders + int64_t(layer - 1) * n_atoms * width();
        const float* matrix = node_out + int64_t(layer - 1) * (2 * features + 1) * out;
        memset(tile.sums.data(), 0, out * kTile * sizeof(float));
        int group = 0;
        for (int64_t begin = 0; begin < tile.n_records; begin += kEdges) {
            const int n = int(tile.n_records - begin < kEdges ? tile.n_records - begin : kEdges);
            const float* record[kEdges];
            int probe[kEdges];
            for (int e = 0; e < n; ++e) {
                while (tile.groups[group + 1].first <= begin + e) ++group;
                probe[e] = tile.groups[group].probe;
                record[e] = tile.records.data() + (begin + e) * size;
                const float* a = sent + reinterpret_cast<const int32_t*>(record[e])[kSender] * width();
                for (int k = 0; k < width(); k += W)
                    at(x + e * width() + k) = shifted_softplus<W>(at(a + k) + at(c + probe[e] * width() + k));
            }
            for (int first = 0; first < vectors(); first += kWide) {
                const int wide = vectors() - first < kWide ? vectors() - first : kWide;
                Vec<W> y[kEdges][kWide];
                some_product<kEdges>(n, wide, x, width(), 2 * features, matrix + first * W, out,
                                     matrix + 2 * features * out + first * W, y);
                Vec<W> sum[kWide] = {};  // of the edges of one probe that follow each other: fewer, larger terms lose fewer digits
                for (int e = 0; e < n; ++e) {
                    Vec<W> b[4];
                    spread<W>(record[e] + kSpline, b);
                    const float* row = filters + first * table_size + reinterpret_cast<const int32_t*>(record[e])[kRow];
                    for (int v = 0; v < wide; ++v) {
                        const Vec<W>* f = reinterpret_cast<const Vec<W>*>(row + v * table_size);
                        sum[v] += y[e][v] * ((f[0] * b[0] + f[1] * b[1]) + (f[2] * b[2] + f[3] * b[3]));
                    }
                    if (e + 1 < n && probe[e + 1] == probe[e]) continue;
                    for (int v = 0; v < wide; ++v) {
                        at(tile.sums.data() + ((first + v) * kTile + probe[e]) * W) += sum[v];
                        sum[v] = Vec<W>{};
                    }
                }
            }
        }
    }

    bool evaluate(int64_t n_atoms, Tile& tile, int probes, float* out) const {
        const int n = features;
        float *state = tile.scratch.data(), *change = state + n * kTile, *gate = change + n * kTile;
        float *hidden = gate + n * kTile, *c = hidden + 2 * n * kTile, *x = c + width() * kTile;
        Weights next = {weights};
        for (int t = 0; t < layers; ++t) {
            if (t) {
                linear(next, false, state, n, 2 * n, probes, hidden);
                turn_back(hidden, 2 * n, probes, c, width());
                add_later(n_atoms, tile, t, c, x);
            } else {
                add_first(n_atoms, tile);
            }
            turn(tile.sums.data(), vectors(), probes, rows, tile.turned.data());
            perceptron<shifted_softplus<W>>(next, tile.turned.data(), n, n, n, probes, hidden, change);
            if (t)
                perceptron<shifted_softplus<W>>(next, state, n, n, n, probes, hidden, gate);
            else
                memset(state, 0, int64_t(n) * kTile * sizeof(float));
            const float* constant = t ? nullptr : next.take(n);  // the first gate is the same for all probes
            for (int k = 0; k < n; ++k)
                for (int p = 0; p < probes; p += W) {
                    const int64_t here = k * kTile + p;
                    const Vec<W> keep = t ? sigmoid<W>(at(gate + here)) : all<W>(constant[k]);
                    at(state + here) = at(change + here) + keep * (at(state + here) - at(change + here));
                }
        }
        perceptron<shifted_softplus<W>>(next, state, n, n, channels, probes, hidden, out);
        return true;
    }
};

}  // namespace

// Returns 0, or 1 without memory.
C3N_EXPORT int c3n_density_schnet(const EvaluationJob<SchNet>* job) { return evaluate_points(job); }
