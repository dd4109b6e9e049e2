// Reading PaiNN (DeepDFT's equivariant network). Its messages do not depend on the probe:
//
//   Σs = Σ S·w_s(r)    Σv = Σ V·w_v(r) + (E·w_e(r)) ⊗ direction
//
// with S, V, E what an atom sends, and w the radial filters with the cutoff function in them, from tables.
#include "dense.h"
#include "evaluate.h"

namespace {

using namespace c3n;

// Sums of one vector of channels for the P probes of a group: [4, kTile, W], scalar first.
template <int P>
inline void add_group(const float* records, int64_t edges, int size, const float* table, int64_t table_size,
                      const float* senders, float* sums, int64_t component) {
    Vec<W> sum[P][4] = {};
    for (int64_t e = 0; e < edges; ++e) {
        const float* record = records + e * P * size;
        const Vec<W>* sent = reinterpret_cast<const Vec<W>*>(
            senders + int64_t(reinterpret_cast<const int32_t*>(record)[kSender]) * (5 * W));
        for (int p = 0; p < P; ++p, record += size) {
            Vec<W> b[4], w[3];
            spread<W>(record + kSpline, b);
            const float* row = table + reinterpret_cast<const int32_t*>(record)[kRow];
            for (int f = 0; f < 3; ++f) {
                const Vec<W>* c = reinterpret_cast<const Vec<W>*>(row + f * table_size);
                w[f] = (c[0] * b[0] + c[1] * b[1]) + (c[2] * b[2] + c[3] * b[3]);
            }
            sum[p][0] += sent[0] * w[0];
            const Vec<W> along = sent[4] * w[2];
            for (int k = 0; k < 3; ++k) sum[p][1 + k] += sent[1 + k] * w[1] + along * record[kHarmonics + 1 + k];
        }
    }
    for (int p = 0; p < P; ++p)
        for (int k = 0; k < 4; ++k) *reinterpret_cast<Vec<W>*>(sums + k * component + p * W) = sum[p][k];
}

struct PaiNN {
    int32_t channels, features, layers;
    EdgeForm edges;
    const int32_t* rows;   // [4 · vectors · W] row of each summed number; for padding: 4 · features
    const float* table;    // per layer and vector [3, n_steps + 3, W]: w_s, w_v, w_e
    const float* senders;  // per layer and vector [atoms, 5, W]: S, V, E / √3
    const float* weights;

    static constexpr TileForm tile = {true};
    int numbers() const { return channels; }
    const EdgeForm& form() const { return edges; }
    int vectors() const { return (features + W - 1) / W; }

    bool prepare(Tile& tile) const {
        prepare_edges(edges, tile);
        const int64_t sums = int64_t(4) * vectors() * W * kTile;
        if (!tile.sums.reserve(sums)) return false;
        memset(tile.sums.data(), 0, sums * sizeof(float));
        return tile.turned.reserve((4 * features + 1) * kTile) && tile.scratch.reserve(int64_t(18) * features * kTile);
    }

    void add_messages(int64_t n_atoms, Tile& tile, int layer) const {
        const int64_t table_size = int64_t(edges.n_steps + 3) * W, component = int64_t(vectors()) * kTile * W;
        for (int v = 0; v < vectors(); ++v) {
            const int64_t number = int64_t(layer) * vectors() + v;
            const float *from = table + number * 3 * table_size, *sent = senders + number * n_atoms * 5 * W;
            for (int i = 0; i < tile.n_groups; ++i) {
                const Group& group = tile.groups[i];
                const float* records = tile.records.data() + group.first * tile.record;
                const int64_t n = (tile.groups[i + 1].first - group.first) / group.size;
                float* to = tile.sums.data() + (int64_t(v) * kTile + group.probe) * W;
                if (group.size == 1)
                    add_group<1>(records, n, tile.record, from, table_size, sent, to, component);
                else
                    add_group<kTogether>(records, n, tile.record, from, table_size, sent, to, component);
            }
        }
    }

    bool evaluate(int64_t n_atoms, Tile& tile, int probes, float* out) const {
        const int n = features;
        const float* received = tile.turned.data();
        float *s = tile.scratch.data(), *norm = s + n * kTile, *v = norm + n * kTile, *u = v + 3 * n * kTile;
        float *vv = u + 3 * n * kTile, *hidden = vv + 3 * n * kTile, *a = hidden + 2 * n * kTile;
        memset(s, 0, int64_t(5) * n * kTile * sizeof(float));
        Weights next = {weights};
        for (int t = 0; t < layers; ++t) {
            add_messages(n_atoms, tile, t);
            turn(tile.sums.data(), 4 * vectors(), probes, rows, tile.turned.data());
            perceptron<silu<W>>(next, received, n, 2 * n, 2 * n, probes, hidden, a);
            for (int k = 0; k < 4 * n; ++k) {  // gates between the old state and the messages
                float* state = k < n ? s + k * kTile : v + (k - n) * kTile;
                const float* gate = a + (k < n ? k : n + k % n) * kTile;
                for (int p = 0; p < probes; p += W)
                    at(state + p) = at(received + k * kTile + p) +
                                    sigmoid<W>(at(gate + p)) * (at(state + p) - at(received + k * kTile + p));
            }
            update(next, t + 1 < layers, probes, s, norm, v, u, vv, hidden, a);
        }
        perceptron<silu<W>>(next, s, n, n, channels, probes, hidden, out);
        return true;
    }

    // s += a_ss + a_sv·⟨u, v⟩ and, unless it is not used any more, v += a_vv·u
    void update(Weights& next, bool vectors_too, int probes, float* s, float* norm, float* v, float* u, float* vv,
                float* hidden, float* a) const {
        const int n = features;
        const Weights both = next;
        for (int k = 0; k < 3; ++k) {
            next = both;
            linear(next, false, v + k * n * kTile, n, n, probes, u + k * n * kTile);
            linear(next, false, v + k * n * kTile, n, n, probes, vv + k * n * kTile);
        }
        for (int k = 0; k < n; ++k)
            for (int p = 0; p < probes; p += W) {
                const float* one = vv + k * kTile + p;
                const Vec<W> x = at(one), y = at(one + n * kTile), z = at(one + 2 * n * kTile);
                const Vec<W> square = x * x + y * y + z * z;
                for (int i = 0; i < W; ++i) norm[k * kTile + p + i] = sqrtf(square[i]);
            }
        perceptron<silu<W>>(next, s, 2 * n, n, vectors_too ? 3 * n : 2 * n, probes, hidden, a);
        for (int k = 0; k < n; ++k)
            for (int p = 0; p < probes; p += W) {
                const int64_t here = k * kTile + p;
                Vec<W> product = {};
                for (int i = 0; i < 3; ++i) product += at(u + i * n * kTile + here) * at(vv + i * n * kTile + here);
                at(s + here) += at(a + here) + at(a + n * kTile + here) * product;
                if (!vectors_too) continue;
                for (int i = 0; i < 3; ++i)
                    at(v + i * n * kTile + here) += at(a + 2 * n * kTile + here) * at(u + i * n * kTile + here);
            }
    }
};

}  // namespace

// Returns 0, or 1 without memory.
C3N_EXPORT int c3n_density_painn(const EvaluationJob<PaiNN>* job) { return evaluate_points(job); }
