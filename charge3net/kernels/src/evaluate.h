// A network at many points: search for neighbours and network in one pass, tile by tile.
//
// Points are taken in the order given, a few at a time. Those with neighbours fill a tile; the others get the network's
// constant output without neighbours. Edges are freed with their tile, so memory does not grow with the number of points.
//
// A network offers: `numbers()` (how many at a probe: the density in each channel, or more), `form()` (EdgeForm), `tile`
// (TileForm), `prepare(tile)` (memory and record size; false without memory) and `evaluate(n_atoms, tile, probes, out)`, which
// fills out[numbers, kTile] from the tile's records (false without memory).
#pragma once

#include "tile.h"

namespace c3n {

template <class Network>
struct EvaluationJob {
    int64_t n_points, n_atoms, out_stride;
    const double* points;    // [n_points, 3] Å
    const int64_t* targets;  // [n_points] place in a row of out
    float* out;              // [numbers, out_stride]
    const float* without_neighbours;  // [numbers]
    int32_t n_threads, chunk;  // points a thread takes at once
    CellList atoms;
    Network network;
};

// Size of a record and the edges' part of the memory of a tile.
inline void prepare_edges(const EdgeForm& form, Tile& tile, bool derivatives = false) {
    const int harmonics = (form.lmax + 1) * (form.lmax + 1);
    const int fields = kHarmonics + harmonics + (derivatives ? kHarmonicDerivatives + 3 * (harmonics - 1) : 0);
    tile.record = (fields + W - 1) / W * W;
    harmonic_norms(form.lmax, tile.norm);
}

// Evaluates the tile's probes and empties it; false without memory.
template <class Network>
bool evaluate_tile(const EvaluationJob<Network>& job, Tile& tile) {
    if (!tile.n) return true;
    tile.groups[tile.n_groups].first = tile.n_records;
    if (!describe_edges<Network::tile.derivatives>(job.network.form(), job.atoms.cutoff, tile)) return false;
    float out[kMaxNumbers * kTile] __attribute__((aligned(64)));
    if (!job.network.evaluate(job.n_atoms, tile, (tile.n + 2 * W - 1) / (2 * W) * (2 * W), out)) return false;
    for (int k = 0; k < job.network.numbers(); ++k)
        for (int p = 0; p < tile.n; ++p) job.out[k * job.out_stride + tile.target[p]] = out[k * kTile + p];
    tile.n = tile.n_groups = 0;
    tile.n_records = 0;
    return true;
}

// A group of probes in the tile; their neighbours are the `listed` images whose mask has one of their bits, `bit` onwards.
inline void add_group(Tile& tile, const double* points, int size, int bit, int listed, const int64_t* target) {
    const Images& near = tile.near;
    const int64_t *mask = tile.mask.data(), bits = ((int64_t(1) << size) - 1) << bit;
    tile.groups[tile.n_groups++] = {tile.n, size, tile.n_records};
    for (int p = 0; p < size; ++p) tile.target[tile.n++] = target[p];
    int64_t i = tile.n_records;
    for (int k = 0; k < listed; ++k) {
        const int32_t c = tile.listed.data()[k];
        if (!(mask[c] & bits)) continue;
        const double x = near.x.data()[c], y = near.y.data()[c], z = near.z.data()[c];
        for (int p = 0; p < size; ++p, ++i) {
            tile.x.data()[i] = float(points[3 * p] - x);
            tile.y.data()[i] = float(points[3 * p + 1] - y);
            tile.z.data()[i] = float(points[3 * p + 2] - z);
            tile.sender.data()[i] = near.atom.data()[c];
            tile.within.data()[i] = -int32_t(mask[c] >> (bit + p) & 1);
        }
    }
    tile.n_records = i;
}

// Up to kTogether points, together when most neighbours are the same.
template <class Network>
void add_points(const EvaluationJob<Network>& job, Tile& tile, const double* points, int n, const int64_t* target) {
    mark_within(job.atoms, points, n, tile.near, tile.mask.data());
    const int64_t* mask = tile.mask.data();
    int listed = 0, pairs = 0;
    int64_t any = 0;
    for (int c = 0; c < tile.near.n; ++c) {
        tile.listed.data()[listed] = c;
        listed += mask[c] != 0;
        pairs += __builtin_popcountll(mask[c]);
        any |= mask[c];
    }
    if (Network::tile.together && n == kTogether && pairs && 10 * n * listed <= 13 * pairs) return add_group(tile, points, n, 0, listed, target);
    for (int p = 0; p < n; ++p) {
        if (any >> p & 1)
            add_group(tile, points + 3 * p, 1, p, listed, target + p);
        else
            for (int k = 0; k < job.network.numbers(); ++k)
                job.out[k * job.out_stride + target[p]] = job.without_neighbours[k];
    }
}

// Points first … first + n-1, which share a list of images.
template <class Network>
bool evaluate_run(const EvaluationJob<Network>& job, Tile& tile, int64_t first, int n) {
    if (!find_near(job.atoms, job.points + 3 * first, n, tile.region, tile.near)) return false;
    const int64_t room = kMaxRecords + int64_t(kTogether) * tile.near.n;
    const int64_t kept = tile.n_records;
    if (!tile.x.reserve(room, kept) || !tile.y.reserve(room, kept) || !tile.z.reserve(room, kept) ||
        !tile.sender.reserve(room, kept) || !tile.within.reserve(room, kept) ||
        !tile.mask.reserve(tile.near.n + kDoubles) || !tile.listed.reserve(tile.near.n + 1))
        return false;
    for (int64_t i = first; i < first + n; i += kTogether) {
        const int together = int(first + n - i < kTogether ? first + n - i : kTogether);
        if ((tile.n + together > Network::tile.probes || tile.n_records >= Network::tile.records) && !evaluate_tile(job, tile)) return false;
        int64_t target[kTogether];
        for (int p = 0; p < together; ++p) target[p] = job.targets ? job.targets[i + p] : i + p;
        add_points(job, tile, job.points + 3 * i, together, target);
    }
    return true;
}

template <class Network>
bool evaluate_region(const EvaluationJob<Network>& job, Tile& tile, int64_t first, int64_t last) {
    if (!find_in_cell_list(job.atoms, job.points + 3 * first, last - first, tile.region)) return false;
    for (int64_t run = first; run < last; run += kRun)
        if (!evaluate_run(job, tile, run, int(last - run < kRun ? last - run : kRun))) return false;
    return true;
}

template <class Network>
struct Work {
    const EvaluationJob<Network>* job;
    int failed;
};

template <class Network>
void evaluate_chunk(void* context, int number) {
    Work<Network>* work = static_cast<Work<Network>*>(context);
    const EvaluationJob<Network>& job = *work->job;
    const int64_t begin = int64_t(number) * job.chunk;
    const int64_t end = begin + job.chunk < job.n_points ? begin + job.chunk : job.n_points;
    Tile tile;
    bool ok = job.network.prepare(tile);
    for (int64_t first = begin, last; ok && first < end; first = last) {
        const int64_t size = region_size(job.atoms, job.points + 3 * first, end - first, kTogether);
        last = first + (size > 1 ? size : kTogether) < end ? first + (size > 1 ? size : kTogether) : end;
        for (int64_t part = first; ok && part < last; part += size) ok = evaluate_region(job, tile, part, part + size);
    }
    ok = ok && evaluate_tile(job, tile);
    if (!ok) __atomic_store_n(&work->failed, 1, __ATOMIC_RELAXED);
}

// 0, or 1 without memory.
template <class Network>
int evaluate_points(const EvaluationJob<Network>* job) {
    Work<Network> work = {job, 0};
    parallel_for(int((job->n_points + job->chunk - 1) / job->chunk), job->n_threads, evaluate_chunk<Network>, &work);
    return work.failed;
}

}  // namespace c3n
