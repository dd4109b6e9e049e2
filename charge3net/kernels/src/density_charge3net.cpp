// Reading ChargE3Net.
#include "charge3net_head.h"
#include "charge3net_sums.h"
#include "evaluate.h"

namespace {

using namespace c3n;

struct ChargE3Net {
    int32_t channels;
    Channels sums;
    Head head;

    static constexpr TileForm tile = {true};
    int numbers() const { return channels; }
    const EdgeForm& form() const { return sums.edges; }

    bool prepare(Tile& tile) const {
        const int64_t lanes = int64_t(sums.count()) * W;
        prepare_edges(sums.edges, tile);
        if (!tile.sums.reserve(lanes * kTile) || !tile.turned.reserve((lanes + 1) * kTile)) return false;
        memset(tile.sums.data(), 0, lanes * kTile * sizeof(float));  // a tile that is not full leaves some as they were
        return tile.scratch.reserve(head_scratch(head));
    }

    bool evaluate(int64_t n_atoms, Tile& tile, int probes, float* out) const {
        add_orders<0>(sums, n_atoms, tile, sums.table, sums.senders, tile.sums.data());
        turn(tile.sums.data(), sums.count(), probes, head.rows, tile.turned.data());
        apply_head(head, tile.turned.data(), probes, tile.scratch.data(), nullptr, out);
        return true;
    }
};

}  // namespace

// Width of a vector and columns of a block of the dense part: how tables, senders and matrices are to be laid out.
C3N_EXPORT void c3n_layout(int32_t* width, int32_t* columns) {
    *width = W;
    *columns = kColumns;
}

// Returns 0, or 1 without memory.
C3N_EXPORT int c3n_density_charge3net(const EvaluationJob<ChargE3Net>* job) { return evaluate_points(job); }
