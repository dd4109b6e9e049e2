// The atoms, periodic images included, within a cutoff of arbitrary points: edges in their final order (charge3net/graph).
//
// Atoms, wrapped into the cell, are sorted into bins of fractional coordinates about half a cutoff wide. A bin number beyond
// the cell along a periodic vector is a bin of another image, so cells smaller than the cutoff need nothing special.
#include <math.h>

#include "common.h"

namespace {

using namespace c3n;

constexpr int kPoints = 256;     // points in a chunk of work
constexpr int kFarthest = 1023;  // largest image number relative to the point's own that a key holds, either way

struct Edge {
    int64_t receiver, sender;
    double shift[3];
};

// Edges of some points; grows.
struct Chunk {
    Edge* edges;
    int64_t n, room;
};

struct Search {
    int64_t n_points, n_atoms;
    const double *points, *positions, *cell, *inverse;
    const uint8_t* periodic;
    double cutoff;
    double low[3], width[3], reach[3];  // fractional: where bin 0 begins, width of a bin, the cutoff
    int64_t bins[3];
    int64_t* wraps;    // [atoms, 3] the image in which an atom, as given, lies
    double* wrapped;   // [atoms, 3] Å, in the order of the bins
    int64_t* members;  // [atoms] atoms in the order of the bins, ascending within one
    int64_t* bounds;   // [bins + 1]
    Chunk* chunks;
    int n_chunks;
    int failed;
};

inline void fractional(const double* inverse, const double* r, double* out) {
    for (int k = 0; k < 3; ++k) out[k] = r[0] * inverse[k] + r[1] * inverse[3 + k] + r[2] * inverse[6 + k];
}

inline void translation(const double* cell, const int64_t* image, double* out) {
    for (int k = 0; k < 3; ++k)
        out[k] = double(image[0]) * cell[k] + double(image[1]) * cell[3 + k] + double(image[2]) * cell[6 + k];
}

// How the cell, or the atoms' extent along vectors that are not periodic, is cut into bins.
void choose_bins(Search& s, const double* least, const double* most) {
    double count[3], all = 1;
    for (int k = 0; k < 3; ++k) {
        const double* g = s.inverse + k;
        const double slope = sqrt(g[0] * g[0] + g[3] * g[3] + g[6] * g[6]);  // 1/height of the cell
        const double extent = s.periodic[k] ? 1.0 : fmax(most[k] - least[k], 1e-9);
        s.low[k] = s.periodic[k] ? 0.0 : least[k];
        s.reach[k] = s.cutoff * slope * (1 + 1e-9) + 1e-9;
        s.width[k] = extent;
        count[k] = fmax(extent / slope / (0.5 * s.cutoff), 1.0);
        all *= count[k];
    }
    const double most_bins = double(4 * s.n_atoms + 8), shrink = all > most_bins ? cbrt(most_bins / all) : 1.0;
    for (int k = 0; k < 3; ++k) {
        s.bins[k] = int64_t(fmax(count[k] * shrink, 1.0));
        s.width[k] /= double(s.bins[k]);
    }
}

// Sort the atoms into bins; false without memory.
bool fill_bins(Search& s) {
    const int64_t n = s.n_atoms;
    double least[3] = {1e300, 1e300, 1e300}, most[3] = {-1e300, -1e300, -1e300};
    double* place = static_cast<double*>(malloc(size_t(n) * 3 * sizeof(double)));
    int64_t* number = static_cast<int64_t*>(malloc(size_t(n) * sizeof(int64_t)));
    s.wraps = static_cast<int64_t*>(malloc(size_t(n) * 3 * sizeof(int64_t)));
    s.wrapped = static_cast<double*>(malloc(size_t(n) * 3 * sizeof(double)));
    s.members = static_cast<int64_t*>(malloc(size_t(n) * sizeof(int64_t)));
    bool ok = place && number && s.wraps && s.wrapped && s.members;
    for (int64_t i = 0; ok && i < 3 * n; ++i) {
        const int k = int(i % 3);
        if (k == 0) fractional(s.inverse, s.positions + i, place + i);
        ok = fabs(place[i]) < 1e15;
        const double whole = s.periodic[k] ? floor(place[i]) : 0.0;
        s.wraps[i] = ok ? int64_t(whole) : 0;
        place[i] -= whole;
        least[k] = fmin(least[k], place[i]);
        most[k] = fmax(most[k], place[i]);
    }
    if (ok) choose_bins(s, least, most);
    const int64_t all = s.bins[0] * s.bins[1] * s.bins[2];
    if (ok) s.bounds = static_cast<int64_t*>(calloc(size_t(all) + 1, sizeof(int64_t)));
    ok = ok && s.bounds;
    for (int64_t i = 0; ok && i < n; ++i) {
        number[i] = 0;
        for (int k = 0; k < 3; ++k) {
            const int64_t bin = int64_t((place[3 * i + k] - s.low[k]) / s.width[k]);
            number[i] = number[i] * s.bins[k] + (bin < 0 ? 0 : bin < s.bins[k] ? bin : s.bins[k] - 1);
        }
        ++s.bounds[number[i] + 1];
    }
    for (int64_t b = 0; ok && b < all; ++b) s.bounds[b + 1] += s.bounds[b];
    for (int64_t i = 0; ok && i < n; ++i) {
        const int64_t at = s.bounds[number[i]]++;
        s.members[at] = i;
        double shift[3];
        translation(s.cell, s.wraps + 3 * i, shift);
        for (int k = 0; k < 3; ++k) s.wrapped[3 * at + k] = s.positions[3 * i + k] - shift[k];
    }
    for (int64_t b = all; ok && b > 0; --b) s.bounds[b] = s.bounds[b - 1];
    if (ok) s.bounds[0] = 0;
    free(place);
    free(number);
    return ok;
}

// What has been found for one point: sender and image (relative to the point's own) in one number that sorts as they do.
struct Hits {
    uint64_t* keys;
    int64_t n, room;
};

inline bool add(Hits& hits, uint64_t key) {
    if (hits.n == hits.room) {
        const int64_t room = hits.room ? 2 * hits.room : 256;
        void* more = realloc(hits.keys, size_t(room) * sizeof(uint64_t));
        if (!more) return false;
        hits.keys = static_cast<uint64_t*>(more), hits.room = room;
    }
    hits.keys[hits.n++] = key;
    return true;
}

void sort(uint64_t* keys, int64_t n) {  // Shell's, with Ciura's steps: short lists that are nearly in order
    static const int64_t kSteps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (int64_t step : kSteps)
        for (int64_t i = step; i < n; ++i) {
            const uint64_t key = keys[i];
            int64_t j = i;
            for (; j >= step && keys[j - step] > key; j -= step) keys[j] = keys[j - step];
            keys[j] = key;
        }
}

// Candidates of one bin in one image: a little beyond the cutoff too. False without memory.
bool search_bin(const Search& s, int64_t bin, const int64_t* image, const double* point, uint64_t code, Hits& hits) {
    const int64_t begin = s.bounds[bin], end = s.bounds[bin + 1];
    if (begin == end) return true;
    double shift[3];
    translation(s.cell, image, shift);
    for (int k = 0; k < 3; ++k) shift[k] = point[k] - shift[k];
    const double limit = s.cutoff * s.cutoff * (1 + 1e-6);
    for (int64_t i = begin; i < end; ++i) {
        const double* atom = s.wrapped + 3 * i;
        const double x = shift[0] - atom[0], y = shift[1] - atom[1], z = shift[2] - atom[2];
        if (x * x + y * y + z * z < limit && !add(hits, uint64_t(s.members[i]) << 33 | code)) return false;
    }
    return true;
}

// All candidates of a point. 0, 1 without memory, 2 when an image is too far for a key.
int search_point(const Search& s, const double* point, int64_t* home, Hits& hits) {
    double place[3];
    int64_t first[3], last[3];
    fractional(s.inverse, point, place);
    for (int k = 0; k < 3; ++k) {
        if (!(fabs(place[k]) < 1e15)) return 2;
        home[k] = s.periodic[k] ? int64_t(floor(place[k])) : 0;
        const double near = place[k] - double(home[k]) - s.low[k];
        first[k] = int64_t(floor(fmax((near - s.reach[k]) / s.width[k], -1e15)));
        last[k] = int64_t(floor(fmin((near + s.reach[k]) / s.width[k], 1e15)));
        if (!s.periodic[k]) {
            first[k] = first[k] < 0 ? 0 : first[k];
            last[k] = last[k] < s.bins[k] ? last[k] : s.bins[k] - 1;
        } else if (first[k] < -kFarthest * s.bins[k] || last[k] >= kFarthest * s.bins[k]) {
            return 2;
        }
    }
    int64_t bin[3], image[3], from_home[3], inside[3];
    for (bin[0] = first[0]; bin[0] <= last[0]; ++bin[0])
        for (bin[1] = first[1]; bin[1] <= last[1]; ++bin[1])
            for (bin[2] = first[2]; bin[2] <= last[2]; ++bin[2]) {
                for (int k = 0; k < 3; ++k) {
                    const int64_t n = s.bins[k];
                    from_home[k] = bin[k] >= 0 ? bin[k] / n : -((n - 1 - bin[k]) / n);
                    inside[k] = bin[k] - from_home[k] * n;
                    image[k] = home[k] + from_home[k];
                }
                const uint64_t code = uint64_t(from_home[0] + kFarthest) << 22 | uint64_t(from_home[1] + kFarthest) << 11 |
                                      uint64_t(from_home[2] + kFarthest);
                const int64_t number = (inside[0] * s.bins[1] + inside[1]) * s.bins[2] + inside[2];
                if (!search_bin(s, number, image, point, code, hits)) return 1;
            }
    return 0;
}

// The candidates that are inside, by the expression of the graphs' edge vectors: |point − (atom + shift)| < cutoff.
bool keep_inside(const Search& s, int64_t receiver, const int64_t* home, const Hits& hits, Chunk& chunk) {
    if (chunk.n + hits.n > chunk.room) {
        const int64_t room = 2 * (chunk.n + hits.n) + 1024;
        void* more = realloc(chunk.edges, size_t(room) * sizeof(Edge));
        if (!more) return false;
        chunk.edges = static_cast<Edge*>(more), chunk.room = room;
    }
    const double* point = s.points + 3 * receiver;
    for (int64_t i = 0; i < hits.n; ++i) {
        const int64_t key = int64_t(hits.keys[i]), sender = key >> 33;
        int64_t image[3];
        for (int k = 0; k < 3; ++k)
            image[k] = home[k] + ((key >> (22 - 11 * k)) & 2047) - kFarthest - s.wraps[3 * sender + k];
        Edge& edge = chunk.edges[chunk.n];
        edge.receiver = receiver, edge.sender = sender;
        translation(s.cell, image, edge.shift);
        double square = 0;
        for (int k = 0; k < 3; ++k) {
            const double d = point[k] - (s.positions[3 * sender + k] + edge.shift[k]);
            square += d * d;
        }
        chunk.n += square < s.cutoff * s.cutoff;
    }
    return true;
}

void search_chunk(void* context, int number) {
    Search& s = *static_cast<Search*>(context);
    const int64_t begin = int64_t(number) * kPoints, end = begin + kPoints < s.n_points ? begin + kPoints : s.n_points;
    Hits hits = {nullptr, 0, 0};
    int problem = 0;
    for (int64_t i = begin; i < end && !problem; ++i) {
        int64_t home[3];
        hits.n = 0;
        problem = search_point(s, s.points + 3 * i, home, hits);
        if (problem) break;
        sort(hits.keys, hits.n);
        problem = !keep_inside(s, i, home, hits, s.chunks[number]);
    }
    free(hits.keys);
    if (problem) __atomic_store_n(&s.failed, problem, __ATOMIC_RELAXED);
}

void release(Search* s) {
    for (int i = 0; s->chunks && i < s->n_chunks; ++i) free(s->chunks[i].edges);
    free(s->chunks);
    free(s->wraps);
    free(s->wrapped);
    free(s->members);
    free(s->bounds);
    free(s);
}

}  // namespace

// points [n_points, 3], positions [n_atoms, 3] in Å; cell [3, 3] rows and its inverse; periodic [3]. `found` gets the number
// of edges; they are fetched with c3n_take_neighbors. Null without memory, or when images are too far away to be numbered.
C3N_EXPORT void* c3n_find_neighbors(int64_t n_points, const double* points, int64_t n_atoms, const double* positions,
                                    const double* cell, const double* inverse, const uint8_t* periodic, double cutoff,
                                    int threads, int64_t* found) {
    Search* s = static_cast<Search*>(calloc(1, sizeof(Search)));
    if (!s) return nullptr;
    s->n_points = n_points, s->n_atoms = n_atoms, s->points = points, s->positions = positions;
    s->cell = cell, s->inverse = inverse, s->periodic = periodic, s->cutoff = cutoff;
    s->n_chunks = int((n_points + kPoints - 1) / kPoints);
    s->chunks = static_cast<Chunk*>(calloc(size_t(s->n_chunks) + 1, sizeof(Chunk)));
    for (int k = 0; k < 3; ++k) s->bins[k] = 1;
    if (!s->chunks || n_atoms >= (int64_t(1) << 30) || !fill_bins(*s)) {
        release(s);
        return nullptr;
    }
    parallel_for(s->n_chunks, threads, search_chunk, s);
    if (s->failed) {
        release(s);
        return nullptr;
    }
    *found = 0;
    for (int i = 0; i < s->n_chunks; ++i) *found += s->chunks[i].n;
    return s;
}

// receivers [found], senders [found], shifts [found, 3] of a search, in the order (receiver, sender, image); ends the search.
C3N_EXPORT void c3n_take_neighbors(void* search, int64_t* receivers, int64_t* senders, double* shifts) {
    Search* s = static_cast<Search*>(search);
    for (int i = 0; i < s->n_chunks; ++i)
        for (int64_t e = 0; e < s->chunks[i].n; ++e) {
            const Edge& edge = s->chunks[i].edges[e];
            *receivers++ = edge.receiver;
            *senders++ = edge.sender;
            for (int k = 0; k < 3; ++k) *shifts++ = edge.shift[k];
        }
    release(s);
}
