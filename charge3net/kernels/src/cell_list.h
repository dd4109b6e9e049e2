// Which atom images lie within the cutoff of some points: a cell list in fractional coordinates, tests in float64.
//
// Three lists, each cut from the one before: images near a region (cell list), near a run of points, near each point.
#pragma once

#include <math.h>

#include "buffer.h"

namespace c3n {

constexpr int kRegion = 1024, kRun = 32;  // points that share the cell list's answer, and a list of images, at most
constexpr double kRoom = 64;              // the first only while they and their surroundings fill no more cubes of two cutoffs

// Atoms sorted into bins of the cell. A bin number beyond the cell along a periodic vector is a bin of another image.
struct CellList {
    const double* positions;  // [atoms, 3] Å
    const double* cell;       // [3, 3] rows
    const double* inverse;    // its inverse: fractional = Cartesian · inverse
    const double* low;        // [3] fractional coordinate where bin 0 begins
    const double* width;      // [3] fractional width of a bin
    const int32_t* bins;      // [3]
    const int32_t* periodic;  // [3]
    const int32_t* bounds;    // [bins + 1] members bounds[b] … bounds[b+1] are in bin b
    const int32_t* members;   // [atoms]
    const int32_t* wraps;     // [atoms, 3] the image in which the atom, as given, lies
    double cutoff;
};

constexpr int kDoubles = 8;
typedef double Doubles __attribute__((vector_size(kDoubles * 8)));
typedef int64_t Longs __attribute__((vector_size(kDoubles * 8)));

// Atom images, positions in Å. There is room for kDoubles more than n, so that whole vectors can be read.
struct Images {
    Buffer<double> x, y, z;
    Buffer<int32_t> atom;
    int n = 0;

    bool reserve(int64_t wanted) {
        const int64_t room = wanted + kDoubles;
        return x.reserve(room, n) && y.reserve(room, n) && z.reserve(room, n) && atom.reserve(room, n);
    }
};

inline Doubles load_doubles(const double* from) { return *reinterpret_cast<const Doubles*>(from); }

struct Box {
    double low[3], high[3];
};

inline Box box_around(const double* points, int64_t n) {
    Box box;
    for (int k = 0; k < 3; ++k) box.low[k] = 1e300, box.high[k] = -1e300;
    for (int64_t i = 0; i < n; ++i)
        for (int k = 0; k < 3; ++k) {
            const double p = points[3 * i + k];
            box.low[k] = p < box.low[k] ? p : box.low[k];
            box.high[k] = p > box.high[k] ? p : box.high[k];
        }
    return box;
}

// How many of the first n points make one region: all, or a multiple of `step`, or 1 where even `step` lie too far apart.
inline int64_t region_size(const CellList& list, const double* points, int64_t n, int64_t step) {
    const double side = 2 * list.cutoff;
    for (n = n < kRegion ? n : kRegion; n > 1; n = n > step ? (n / 2 + step - 1) / step * step : 1) {
        const Box box = box_around(points, n);
        double cubes = 1;
        for (int k = 0; k < 3; ++k) cubes *= (box.high[k] - box.low[k]) / side + 1;
        if (cubes <= kRoom) break;
    }
    return n;
}

inline double gap(double x, double low, double high) { return x < low ? low - x : x > high ? x - high : 0; }

struct Range {
    int64_t first, last;
};

inline Range bins_in_reach(const CellList& list, int axis, double low, double high) {
    const double* g = list.inverse + axis;
    const double reach = list.cutoff * sqrt(g[0] * g[0] + g[3] * g[3] + g[6] * g[6]) + 1e-9;
    Range range = {int64_t(floor((low - reach - list.low[axis]) / list.width[axis])),
                   int64_t(floor((high + reach - list.low[axis]) / list.width[axis]))};
    if (!list.periodic[axis]) {
        const int64_t end = list.bins[axis] - 1;
        if (range.first < 0) range.first = 0;
        if (range.last > end) range.last = end;
    }
    return range;
}

inline int64_t image_of(const CellList& list, int axis, int64_t bin) {
    const int64_t n = list.bins[axis], image = bin / n;
    return image * n > bin ? image - 1 : image;
}

// The atoms of one bin, in that image of the cell, that are within the cutoff of the box; false without memory.
inline bool add_bin(const CellList& list, int64_t bin, const int64_t* image, const Box& box, Images& found) {
    const int32_t begin = list.bounds[bin], end = list.bounds[bin + 1];
    if (begin == end) return true;
    if (!found.reserve(found.n + end - begin)) return false;
    const double limit = list.cutoff * list.cutoff * (1 + 1e-9);
    for (int32_t i = begin; i < end; ++i) {
        const int32_t atom = list.members[i];
        double place[3], distance = 0;
        for (int k = 0; k < 3; ++k) {
            double shift = 0;
            for (int axis = 0; axis < 3; ++axis)
                shift += double(image[axis] - list.wraps[3 * atom + axis]) * list.cell[3 * axis + k];
            place[k] = list.positions[3 * atom + k] + shift;
            const double beyond = gap(place[k], box.low[k], box.high[k]);
            distance += beyond * beyond;
        }
        if (distance > limit) continue;
        found.x.data()[found.n] = place[0], found.y.data()[found.n] = place[1], found.z.data()[found.n] = place[2];
        found.atom.data()[found.n++] = atom;
    }
    return true;
}

// Images within the cutoff of the box around n points; false without memory.
inline bool find_in_cell_list(const CellList& list, const double* points, int64_t n, Images& found) {
    double first[3], last[3];
    for (int k = 0; k < 3; ++k) first[k] = 1e300, last[k] = -1e300;
    for (int64_t i = 0; i < n; ++i)
        for (int k = 0; k < 3; ++k) {
            const double *p = points + 3 * i, *g = list.inverse + k;
            const double f = p[0] * g[0] + p[1] * g[3] + p[2] * g[6];
            first[k] = f < first[k] ? f : first[k];
            last[k] = f > last[k] ? f : last[k];
        }
    Range range[3];
    for (int k = 0; k < 3; ++k) range[k] = bins_in_reach(list, k, first[k], last[k]);
    const Box box = box_around(points, n);
    const int32_t* bins = list.bins;
    found.n = 0;
    int64_t image[3];
    for (int64_t a = range[0].first; a <= range[0].last; ++a) {
        image[0] = image_of(list, 0, a);
        for (int64_t b = range[1].first; b <= range[1].last; ++b) {
            image[1] = image_of(list, 1, b);
            const int64_t row = (a - image[0] * bins[0]) * bins[1] + b - image[1] * bins[1];
            for (int64_t c = range[2].first; c <= range[2].last; ++c) {
                image[2] = image_of(list, 2, c);
                if (!add_bin(list, row * bins[2] + c - image[2] * bins[2], image, box, found)) return false;
            }
        }
    }
    return true;
}

// Of `all` those within the cutoff of the box around n points; false without memory.
inline bool find_near(const CellList& list, const double* points, int n, const Images& all, Images& near) {
    const Box box = box_around(points, n);
    if (!near.reserve(all.n)) return false;
    const double limit = list.cutoff * list.cutoff * (1 + 1e-9);
    near.n = 0;
    for (int i = 0; i < all.n; i += kDoubles) {
        const double* from[3] = {all.x.data() + i, all.y.data() + i, all.z.data() + i};
        Doubles distance = {};
        for (int k = 0; k < 3; ++k) {
            const Doubles place = load_doubles(from[k]), below = box.low[k] - place, above = place - box.high[k];
            const Longs is_below = below > 0, is_above = above > 0;
            const Doubles beyond = (Doubles)((is_below & (Longs)below) | (is_above & (Longs)above));
            distance += beyond * beyond;
        }
        int64_t in[kDoubles] __attribute__((aligned(64)));
        *reinterpret_cast<Longs*>(in) = distance <= limit;
        for (int k = 0; k < kDoubles && i + k < all.n; ++k) {
            near.x.data()[near.n] = from[0][k], near.y.data()[near.n] = from[1][k], near.z.data()[near.n] = from[2][k];
            near.atom.data()[near.n] = all.atom.data()[i + k];
            near.n -= int(in[k]);
        }
    }
    return true;
}

// x² + y² + z² with every operation rounded, as numpy does it: decides for pairs at exactly the cutoff.
inline double rounded_square(double x, double y, double z) {
    volatile double xx = x * x, yy = y * y, zz = z * z;
    volatile double two = xx + yy;
    return two + zz;
}

// mask[i] gets bit p where image i is closer than the cutoff (strictly) to point p, for i < near.n.
inline void mark_within(const CellList& list, const double* points, int n, const Images& near, int64_t* mask) {
    const double square = list.cutoff * list.cutoff, surely = square * (1 - 1e-12), never = square * (1 + 1e-12);
    for (int i = 0; i < near.n; i += kDoubles) {
        const Doubles x = load_doubles(near.x.data() + i), y = load_doubles(near.y.data() + i),
                      z = load_doubles(near.z.data() + i);
        Longs within = {}, doubtful = {};
        for (int p = 0; p < n; ++p) {
            const Doubles dx = points[3 * p] - x, dy = points[3 * p + 1] - y, dz = points[3 * p + 2] - z;
            const Doubles distance = dx * dx + dy * dy + dz * dz;
            within |= (distance < surely) & (int64_t(1) << p);
            doubtful |= (distance >= surely) & (distance <= never) & (int64_t(1) << p);
        }
        *reinterpret_cast<Longs*>(mask + i) = within;
        int64_t doubt[kDoubles] __attribute__((aligned(64))), any = 0;
        *reinterpret_cast<Longs*>(doubt) = doubtful;
        for (int k = 0; k < kDoubles; ++k) any |= doubt[k];
        if (!any) continue;
        for (int k = 0; k < kDoubles; ++k)
            for (int p = 0; p < n; ++p) {
                const double* point = points + 3 * p;
                const bool in = doubt[k] >> p & 1 && rounded_square(point[0] - x[k], point[1] - y[k], point[2] - z[k]) < square;
                mask[i + k] |= int64_t(in) << p;
            }
    }
}

}  // namespace c3n
