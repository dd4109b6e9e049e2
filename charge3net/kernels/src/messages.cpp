// Sums of tensor-product messages at their receivers, and the gradients with respect to senders and radial tables.
//
//   out[r, m3, u] = Σ_{edges e of r} w_e(u) · Σ_{m1, m2} C[m1, m2, m3] · h[sender(e), m1, u] · Y_e[m2]       for every path
//   w_e(u) = Σ_{k<4} spline[e, k] · table[row(e) + k, u]
//
// The sum over edges comes first, as moments A[m1, m2, u] = Σ_e w_e(u) · h[m1, u] · Y_e[m2] of one receiver, held in
// registers; C is applied once per receiver. Backwards the same: G = C·g once per receiver, then per edge
// t[m1] = Σ_m2 G[m1, m2]·Y[m2], ∂h += w·t, ∂w = Σ h·t. A path into a scalar (l3 = 0) is a dot product and needs no moments.
//
// The unit of work is a few channels u (a vector) of one sender irrep with all its paths and all edges. It owns its columns of
// the table, of the senders and of the output, so threads never share a number and the result does not depend on them.
#include "common.h"

namespace {

using namespace c3n;

struct Path {
    int32_t irrep, l2, target, column, offset, first;  // `first` indexes cg_bounds
};

// The edges once more, sorted by sender.
struct BySender {
    const int64_t* bounds;  // [n_atoms + 1]
    const int32_t *receivers, *rows;
    const float *harmonics, *spline;
};

struct Job {
    int64_t n_receivers, n_edges, n_atoms, n_rows, n_weights;
    int32_t n_irreps, n_paths, n_threads;
    const int32_t* irreps;   // [n_irreps, 2] l, copies
    const int32_t* paths;    // [n_paths, 6]
    const int32_t* targets;  // [n_targets, 2] l, copies
    const int32_t* cg_bounds;  // per path 2·l3+2 bounds of its entries, m3 after m3
    const int32_t* cg_index;   // m1·(2·l2+1) + m2
    const float* cg_value;
    const int32_t* senders;
    const int64_t* bounds;
    const float* harmonics;  // planes: [n_edges, 2l+1] for l = 0, 1, …
    const float* spline;
    const int32_t* rows;
    const float* table;             // [n_rows, n_weights]
    const float* const* features;   // per irrep [n_atoms, 2l+1, copies]
    float* const* out;              // per target [n_receivers, 2l+1, copies]
    const float* const* grad_out;   // the same shape
    const BySender* by_sender;      // backwards only
    float* grad_table;
    float* const* grad_features;
};

struct Unit {
    int irrep, channel, width, valid;
    double cost;
};

struct Work {
    const Job* job;
    const Unit* units;
    bool backward;
    int failed;
};

inline const Path* path_of(const Job& job, int p) { return reinterpret_cast<const Path*>(job.paths) + p; }
inline const float* plane(const Job& job, int l) { return job.harmonics + job.n_edges * l * l; }

// Rows of W channels, packed from (or added back to) a matrix with `stride` columns.
template <int W>
void pack(const float* from, int64_t rows, int64_t stride, int valid, Vec<W>* to) {
    for (int64_t i = 0; i < rows; ++i) to[i] = load<W>(from + i * stride, valid);
}

template <int W>
void unpack(const Vec<W>* from, int64_t rows, int64_t stride, int valid, float* to) {
    for (int64_t i = 0; i < rows; ++i) store<W>(to + i * stride, from[i], valid);
}

template <int W>
inline Vec<W> weight_of(const Vec<W>* table, const float* b) {
    return (table[0] * b[0] + table[1] * b[1]) + (table[2] * b[2] + table[3] * b[3]);
}

// Scratch of one unit.
template <int W>
struct Tile {
    Vec<W>*table, *grad_table;        // [n_rows]
    Vec<W>*features, *grad_features;  // [n_atoms, m1]
    Vec<W>*weights, *received;        // [most edges of a receiver], [n_receivers]
};

// ---- paths into scalars: dot products ---------------------------------------------------------------------------------

template <int W, int M>
void dot_forward(const Job& job, const Tile<W>& tile, const float* y, float scale, float* out, int64_t stride, int valid) {
    for (int64_t r = 0; r < job.n_receivers; ++r) {
        Vec<W> sum = {};
        for (int64_t e = job.bounds[r]; e < job.bounds[r + 1]; ++e) {
            const Vec<W>* h = tile.features + int64_t(job.senders[e]) * M;
            Vec<W> dot = h[0] * y[e * M];
            for (int m = 1; m < M; ++m) dot += h[m] * y[e * M + m];
            sum += weight_of<W>(tile.table + job.rows[e], job.spline + 4 * e) * dot;
        }
        store<W>(out + r * stride, sum * scale, valid);
    }
}

// Edges in the order of their senders, so that a sender's features and their gradient stay in registers.
template <int W, int M>
void dot_backward(const Job& job, const Tile<W>& tile, int l, float scale, const float* grad, int64_t stride, int valid) {
    const BySender& edges = *job.by_sender;
    const float* y = edges.harmonics + job.n_edges * l * l;
    Vec<W>* received = tile.received;
    for (int64_t r = 0; r < job.n_receivers; ++r) received[r] = load<W>(grad + r * stride, valid) * scale;
    for (int64_t j = 0; j < job.n_atoms; ++j) {
        Vec<W> h[M], dh[M];
        for (int m = 0; m < M; ++m) h[m] = tile.features[j * M + m], dh[m] = Vec<W>{};
        for (int64_t e = edges.bounds[j]; e < edges.bounds[j + 1]; ++e) {
            const float* b = edges.spline + 4 * e;
            const Vec<W> g = received[edges.receivers[e]];
            const Vec<W> gw = g * weight_of<W>(tile.table + edges.rows[e], b);
            Vec<W> dot = h[0] * y[e * M];
            dh[0] += gw * y[e * M];
            for (int m = 1; m < M; ++m) {
                dot += h[m] * y[e * M + m];
                dh[m] += gw * y[e * M + m];
            }
            dot *= g;
            Vec<W>* dt = tile.grad_table + edges.rows[e];
            for (int k = 0; k < 4; ++k) dt[k] += dot * b[k];
        }
        for (int m = 0; m < M; ++m) tile.grad_features[j * M + m] += dh[m];
    }
}

// ---- other paths: moments ---------------------------------------------------------------------------------------------

// Moments of B components m1 at once: B·M accumulators in registers.
template <int W, int M, int B>
inline void moment_block(const Job& job, const Vec<W>* features, const Vec<W>* weights, int m1, const float* y, int64_t begin,
                         int64_t end, Vec<W>* moments) {
    Vec<W> sum[B][M] = {};
    for (int64_t e = begin; e < end; ++e) {
        const Vec<W>* h = features + int64_t(job.senders[e]) * m1;
        const Vec<W> w = weights[e - begin];
        for (int i = 0; i < B; ++i) {
            const Vec<W> x = w * h[i];
            for (int m = 0; m < M; ++m) sum[i][m] += x * y[e * M + m];
        }
    }
    for (int i = 0; i < B; ++i)
        for (int m = 0; m < M; ++m) moments[i * M + m] = sum[i][m];
}

template <int W, int M, int B>
inline void moments_from(const Job& job, const Vec<W>* features, const Vec<W>* weights, int first, int m1, const float* y,
                         int64_t begin, int64_t end, Vec<W>* moments) {
    for (; first + B <= m1; first += B)
        moment_block<W, M, B>(job, features + first, weights, m1, y, begin, end, moments + first * M);
    if constexpr (B > 1) {
        if (first < m1) moments_from<W, M, B - 1>(job, features, weights, first, m1, y, begin, end, moments);
    }
}

template <int W, int M>
void moment_forward(const Job& job, const Tile<W>& tile, int m1, const float* y, const Path& path, int m3, float* out,
                    int64_t stride, int64_t copies, int valid) {
    constexpr int B = C3N_ACCUMULATORS / M > 0 ? C3N_ACCUMULATORS / M : 1;
    Vec<W> moments[kMaxM * M];
    const int32_t* entries = job.cg_bounds + path.first;
    for (int64_t r = 0; r < job.n_receivers; ++r) {
        const int64_t begin = job.bounds[r], end = job.bounds[r + 1];
        for (int64_t e = begin; e < end; ++e)
            tile.weights[e - begin] = weight_of<W>(tile.table + job.rows[e], job.spline + 4 * e);
        moments_from<W, M, B < kMaxM ? B : kMaxM>(job, tile.features, tile.weights, 0, m1, y, begin, end, moments);
        for (int m = 0; m < m3; ++m) {
            Vec<W> sum = {};
            for (int32_t i = entries[m]; i < entries[m + 1]; ++i) sum += moments[job.cg_index[i]] * job.cg_value[i];
            store<W>(out + r * stride + m * copies, sum, valid);
        }
    }
}

template <int W, int M>
void moment_backward(const Job& job, const Tile<W>& tile, int m1, const float* y, const Path& path, int m3,
                     const float* grad, int64_t stride, int64_t copies, int valid) {
    Vec<W> moments[kMaxM * M];
    const int32_t* entries = job.cg_bounds + path.first;
    for (int64_t r = 0; r < job.n_receivers; ++r) {
        const int64_t begin = job.bounds[r], end = job.bounds[r + 1];
        if (begin == end) continue;
        for (int i = 0; i < m1 * M; ++i) moments[i] = Vec<W>{};
        for (int m = 0; m < m3; ++m) {
            const Vec<W> g = load<W>(grad + r * stride + m * copies, valid);
            for (int32_t i = entries[m]; i < entries[m + 1]; ++i) moments[job.cg_index[i]] += g * job.cg_value[i];
        }
        for (int64_t e = begin; e < end; ++e) {
            const Vec<W>* h = tile.features + int64_t(job.senders[e]) * m1;
            Vec<W>* dh = tile.grad_features + int64_t(job.senders[e]) * m1;
            const float* b = job.spline + 4 * e;
            const Vec<W> w = weight_of<W>(tile.table + job.rows[e], b);
            Vec<W> dw = {}, harmonics[M];
            for (int m = 0; m < M; ++m) harmonics[m] = Vec<W>{} + y[e * M + m];
            for (int i = 0; i < m1; ++i) {
                Vec<W> t = moments[i * M] * harmonics[0];
                for (int m = 1; m < M; ++m) t += moments[i * M + m] * harmonics[m];
                dw += h[i] * t;
                dh[i] += w * t;
            }
            Vec<W>* dt = tile.grad_table + job.rows[e];
            for (int k = 0; k < 4; ++k) dt[k] += dw * b[k];
        }
    }
}

// ---- units ------------------------------------------------------------------------------------------------------------

template <int W, int M>
void run_path(const Job& job, const Tile<W>& tile, const Path& path, int m1, int valid, int channel, bool backward) {
    const int l3 = job.targets[2 * path.target], copies = job.targets[2 * path.target + 1], m3 = 2 * l3 + 1;
    const int64_t stride = int64_t(m3) * copies, start = path.offset + channel;
    const float* y = plane(job, path.l2);
    if (l3 == 0) {
        const float scale = job.cg_value[job.cg_bounds[path.first]];
        if (backward)
            dot_backward<W, M>(job, tile, path.l2, scale, job.grad_out[path.target] + start, stride, valid);
        else
            dot_forward<W, M>(job, tile, y, scale, job.out[path.target] + start, stride, valid);
    } else if (backward) {
        moment_backward<W, M>(job, tile, m1, y, path, m3, job.grad_out[path.target] + start, stride, copies, valid);
    } else {
        moment_forward<W, M>(job, tile, m1, y, path, m3, job.out[path.target] + start, stride, copies, valid);
    }
}

template <int W>
void dispatch_path(const Job& job, const Tile<W>& tile, const Path& path, int m1, int valid, int channel, bool backward) {
    switch (path.l2) {
        case 0: return run_path<W, 1>(job, tile, path, m1, valid, channel, backward);
        case 1: return run_path<W, 3>(job, tile, path, m1, valid, channel, backward);
        case 2: return run_path<W, 5>(job, tile, path, m1, valid, channel, backward);
        case 3: return run_path<W, 7>(job, tile, path, m1, valid, channel, backward);
        case 4: return run_path<W, 9>(job, tile, path, m1, valid, channel, backward);
        case 5: return run_path<W, 11>(job, tile, path, m1, valid, channel, backward);
        default: return run_path<W, 13>(job, tile, path, m1, valid, channel, backward);
    }
}

template <int W>
bool run_unit(const Job& job, const Unit& unit, bool backward) {
    const int m1 = 2 * job.irreps[2 * unit.irrep] + 1, copies = job.irreps[2 * unit.irrep + 1];
    const int64_t n_features = job.n_atoms * m1;
    int64_t degree = 0;
    for (int64_t r = 0; r < job.n_receivers; ++r)
        if (job.bounds[r + 1] - job.bounds[r] > degree) degree = job.bounds[r + 1] - job.bounds[r];
    Scratch scratch(W * (2 * job.n_rows + 2 * n_features + degree + (backward ? job.n_receivers : 0)));
    if (!scratch.ok()) return false;
    Tile<W> tile;
    tile.table = reinterpret_cast<Vec<W>*>(scratch.data());
    tile.grad_table = tile.table + job.n_rows;
    tile.features = tile.grad_table + job.n_rows;
    tile.grad_features = tile.features + n_features;
    tile.weights = tile.grad_features + n_features;
    tile.received = tile.weights + degree;
    pack<W>(job.features[unit.irrep] + unit.channel, n_features, copies, unit.valid, tile.features);
    if (backward) memset(tile.grad_features, 0, n_features * sizeof(Vec<W>));
    for (int p = 0; p < job.n_paths; ++p) {
        const Path& path = *path_of(job, p);
        if (path.irrep != unit.irrep) continue;
        const int64_t column = path.column + unit.channel;
        pack<W>(job.table + column, job.n_rows, job.n_weights, unit.valid, tile.table);
        if (backward) memset(tile.grad_table, 0, job.n_rows * sizeof(Vec<W>));
        dispatch_path<W>(job, tile, path, m1, unit.valid, unit.channel, backward);
        if (backward) unpack<W>(tile.grad_table, job.n_rows, job.n_weights, unit.valid, job.grad_table + column);
    }
    if (backward)
        unpack<W>(tile.grad_features, n_features, copies, unit.valid, job.grad_features[unit.irrep] + unit.channel);
    return true;
}

void run_one(void* context, int i) {
    Work* work = static_cast<Work*>(context);
    const Unit& unit = work->units[i];
    const bool ok = unit.width == C3N_WIDE ? run_unit<C3N_WIDE>(*work->job, unit, work->backward)
                                           : run_unit<8>(*work->job, unit, work->backward);
    if (!ok) __atomic_store_n(&work->failed, 1, __ATOMIC_RELAXED);
}

double cost_of(const Job& job, int irrep) {
    double cost = 0;
    const int m1 = 2 * job.irreps[2 * irrep] + 1;
    for (int p = 0; p < job.n_paths; ++p) {
        const Path& path = *path_of(job, p);
        if (path.irrep == irrep) cost += 8 + m1 * (job.targets[2 * path.target] ? 2 * path.l2 + 1 : 1);
    }
    return cost;
}

int run(const Job* job, bool backward) {
    int n = 0;
    for (int i = 0; i < job->n_irreps; ++i) n += (job->irreps[2 * i + 1] + 7) / 8;
    Unit* units = static_cast<Unit*>(malloc((n ? n : 1) * sizeof(Unit)));
    if (!units) return 1;
    n = 0;
    for (int i = 0; i < job->n_irreps; ++i) {
        const int copies = job->irreps[2 * i + 1];
        const double cost = cost_of(*job, i);
        for (int c = 0; c < copies;) {
            const int rest = copies - c, width = rest > 8 ? C3N_WIDE : 8;
            const Unit unit = {i, c, width, rest < width ? rest : width, cost * width};
            int at = n++;  // dearest first, so that threads finish together
            for (; at > 0 && units[at - 1].cost < unit.cost; --at) units[at] = units[at - 1];
            units[at] = unit;
            c += width;
        }
    }
    Work work = {job, units, backward, 0};
    parallel_for(n, job->n_threads, run_one, &work);
    free(units);
    return work.failed;
}

}  // namespace

C3N_EXPORT int c3n_messages_forward(const Job* job) { return run(job, false); }
C3N_EXPORT int c3n_messages_backward(const Job* job) { return run(job, true); }
