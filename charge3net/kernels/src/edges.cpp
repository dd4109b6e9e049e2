// What the message sums need of the edges, computed once for all layers: spherical harmonics of their directions and
// their place in the radial tables.
#include <math.h>

#include "common.h"

namespace {

using namespace c3n;

constexpr int kBatch = 16;

// Real spherical harmonics of unit vectors, e3nn's order and axes (its polar axis is y), component normalised:
// Y_lm = sqrt((2l+1)·(2 − δ_m0)·(l−m)!/(l+m)!) · Π_lm(y) · {Re, Im}((z + ix)^m), Π_lm = P_lm / sin^m.
// Written as planes: l after l, [edges, 2l+1] each.
void harmonics_of(const float (*v)[kBatch], int lmax, const float (*norm)[kMaxL + 1], int64_t edges, int64_t first,
                  int count, float* out) {
    float cosine[kMaxL + 1][kBatch], sine[kMaxL + 1][kBatch];
    const float *x = v[0], *y = v[1], *z = v[2], *on = v[3];
    for (int i = 0; i < kBatch; ++i) cosine[0][i] = 1.f, sine[0][i] = 0.f;
    for (int m = 1; m <= lmax; ++m)
        for (int i = 0; i < kBatch; ++i) {
            cosine[m][i] = z[i] * cosine[m - 1][i] - x[i] * sine[m - 1][i];
            sine[m][i] = x[i] * cosine[m - 1][i] + z[i] * sine[m - 1][i];
        }
    float diagonal = 1.f;  // Π_mm = (2m−1)!!
    for (int m = 0; m <= lmax; ++m) {
        if (m > 0) diagonal *= 2 * m - 1;
        float before[kBatch], current[kBatch];
        for (int i = 0; i < kBatch; ++i) before[i] = 0.f, current[i] = diagonal;
        for (int l = m; l <= lmax; ++l) {
            if (l > m)
                for (int i = 0; i < kBatch; ++i) {
                    const float next = ((2 * l - 1) * y[i] * current[i] - (l + m - 1) * before[i]) / float(l - m);
                    before[i] = current[i];
                    current[i] = next;
                }
            const int width = 2 * l + 1;
            float* plane = out + edges * l * l + first * width;
            for (int i = 0; i < count; ++i) {
                const float radial = norm[l][m] * current[i] * (l ? on[i] : 1.f);
                plane[i * width + l + m] = radial * cosine[m][i];
                if (m) plane[i * width + l - m] = radial * sine[m][i];
            }
        }
    }
}

void harmonic_norms(int lmax, float (*norm)[kMaxL + 1]) {
    for (int l = 0; l <= lmax; ++l)
        for (int m = 0; m <= l; ++m) {
            double ratio = 1.0;
            for (int k = l - m + 1; k <= l + m; ++k) ratio /= k;
            norm[l][m] = float(sqrt((2 * l + 1) * (m ? 2.0 : 1.0) * ratio));
        }
}

}  // namespace

// vectors [edges, 3] Å; receivers ascending. Cubic B-splines over `bins` steps of cutoff/bins; coefficient rows are numbered
// 0 … bins+2, an edge uses rows[e] … rows[e]+3 with weights spline[e, 4]; used[bins+3] says which rows any edge uses.
// Returns 0, or 1 when receivers do not ascend or an index is out of range, 2 when an edge is longer than the cutoff.
C3N_EXPORT int c3n_prepare_edges(int64_t edges, int64_t receivers, int64_t atoms, const float* vectors,
                                 const int64_t* sender, const int64_t* receiver, double cutoff, int bins, int lmax,
                                 double on_atom, int32_t* sender32, int64_t* bounds, float* harmonics, float* spline,
                                 int32_t* rows, uint8_t* used) {
    int64_t filled = 0;
    for (int64_t e = 0; e < edges; ++e) {
        if (receiver[e] < 0 || receiver[e] >= receivers || sender[e] < 0 || sender[e] >= atoms) return 1;
        if (e && receiver[e] < receiver[e - 1]) return 1;
        while (filled <= receiver[e]) bounds[filled++] = e;
        sender32[e] = int32_t(sender[e]);
    }
    while (filled <= receivers) bounds[filled++] = edges;
    memset(used, 0, bins + 3);
    float norm[kMaxL + 1][kMaxL + 1];
    harmonic_norms(lmax, norm);
    for (int64_t first = 0; first < edges; first += kBatch) {
        const int count = int(edges - first < kBatch ? edges - first : kBatch);
        float v[4][kBatch] = {};
        for (int i = 0; i < count; ++i) {
            const float* d = vectors + 3 * (first + i);
            const double r = sqrt(double(d[0]) * d[0] + double(d[1]) * d[1] + double(d[2]) * d[2]);
            if (!(r <= cutoff * (1 + 1e-6))) return 2;
            const double inverse = r > on_atom ? 1.0 / r : 0.0;
            for (int k = 0; k < 3; ++k) v[k][i] = float(d[k] * inverse);
            v[3][i] = r > on_atom ? 1.f : 0.f;
            const double place = r * bins / cutoff;
            int bin = int(place);
            if (bin > bins - 1) bin = bins - 1;
            const double t = place - bin, s = 1.0 - t;
            float* b = spline + 4 * (first + i);
            b[0] = float(s * s * s / 6);
            b[1] = float((3 * t * t * t - 6 * t * t + 4) / 6);
            b[2] = float((3 * s * s * s - 6 * s * s + 4) / 6);
            b[3] = float(t * t * t / 6);
            rows[first + i] = bin;
            for (int k = 0; k < 4; ++k) used[bin + k] = 1;
        }
        harmonics_of(v, lmax, norm, edges, first, count, harmonics);
    }
    return 0;
}

// The same edges sorted by sender, in their old order within one (planes of harmonics too).
C3N_EXPORT void c3n_sort_by_sender(int64_t edges, int64_t receivers, int64_t atoms, int lmax, const int32_t* sender,
                                   const int64_t* bounds, const float* harmonics, const float* spline, const int32_t* rows,
                                   int64_t* sorted_bounds, int32_t* sorted_receivers, float* sorted_harmonics,
                                   float* sorted_spline, int32_t* sorted_rows) {
    memset(sorted_bounds, 0, (atoms + 1) * sizeof(int64_t));
    for (int64_t e = 0; e < edges; ++e) ++sorted_bounds[sender[e] + 1];
    for (int64_t j = 0; j < atoms; ++j) sorted_bounds[j + 1] += sorted_bounds[j];
    for (int64_t r = 0; r < receivers; ++r)
        for (int64_t e = bounds[r]; e < bounds[r + 1]; ++e) {
            const int64_t to = sorted_bounds[sender[e]]++;
            sorted_receivers[to] = int32_t(r);
            sorted_rows[to] = rows[e];
            memcpy(sorted_spline + 4 * to, spline + 4 * e, 4 * sizeof(float));
            for (int l = 0; l <= lmax; ++l) {
                const int64_t start = edges * l * l, width = 2 * l + 1;
                memcpy(sorted_harmonics + start + to * width, harmonics + start + e * width, width * sizeof(float));
            }
        }
    for (int64_t j = atoms; j > 0; --j) sorted_bounds[j] = sorted_bounds[j - 1];
    sorted_bounds[0] = 0;
}
