// Reading ChargE3Net's density and its gradient.
#include "charge3net_gradient.h"
#include "evaluate.h"

namespace {

using namespace c3n;

// Rows: the density in each channel, then for each channel its derivatives with respect to x, y and z.
struct ChargE3NetGradient {
    int32_t channels;
    Channels sums;
    Head head;
    const float* back;  // see differentiate_head

    static constexpr TileForm tile = {false, 32, 1 << 10, true};  // records are four times as long
    const EdgeForm& form() const { return sums.edges; }
    int numbers() const { return 4 * channels; }

    bool prepare(Tile& tile) const {
        const int64_t numbers = 4 * int64_t(sums.count()) * W * kTile, messages = head.bounds[head.n_layers] + 1;
        prepare_edges(sums.edges, tile, true);
        if (!tile.sums.reserve(numbers) || !tile.turned.reserve(2 * messages * kTile)) return false;
        memset(tile.sums.data(), 0, numbers * sizeof(float));  // a tile that is not full leaves some as they were
        return tile.scratch.reserve(head_scratch(head) + backward_scratch(head));
    }

    bool evaluate(int64_t n_atoms, Tile& tile, int probes, float* out) const {
        const int64_t component = int64_t(sums.count()) * W * kTile, messages = head.bounds[head.n_layers] + 1;
        add_all_derivatives<0>(sums, n_atoms, tile, sums.table, sums.senders, tile.sums.data(), component);
        float *z = tile.turned.data(), *g = z + messages * kTile;
        turn(tile.sums.data(), sums.count(), probes, head.rows, z);
        float *scratch = tile.scratch.data(), *linear = scratch + head_scratch(head);
        apply_head(head, z, probes, scratch, linear, out);
        for (int channel = 0; channel < channels; ++channel) {
            differentiate_head(head, back, channel, z, sines(head, scratch), linear, probes,
                               linear + int64_t(head.n_layers * head.n_scalars) * kTile, g);
            project(g, head.rows, tile.sums.data() + component, component, sums.count(), probes,
                    out + (channels + 3 * channel) * kTile);
        }
        return true;
    }
};

}  // namespace

// Returns 0, or 1 without memory.
C3N_EXPORT int c3n_gradient_charge3net(const EvaluationJob<ChargE3NetGradient>* job) { return evaluate_points(job); }
