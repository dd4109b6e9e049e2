// The inverse spline filter along the rows of a matrix, only for the rows asked for, and its transpose.
#include "common.h"

// to[i, c] = Σ_k taps[k] · from[rows[i] + k, c]; from has `columns` columns.
C3N_EXPORT void c3n_filter_rows(int64_t n_rows, int64_t columns, int n_taps, const int64_t* rows, const float* taps,
                                const float* from, float* to) {
    for (int64_t i = 0; i < n_rows; ++i) {
        float* sum = to + i * columns;
        for (int64_t c = 0; c < columns; ++c) sum[c] = 0.f;
        for (int k = 0; k < n_taps; ++k) {
            const float* row = from + (rows[i] + k) * columns;
            for (int64_t c = 0; c < columns; ++c) sum[c] += taps[k] * row[c];
        }
    }
}

// The transpose: to[rows[i] + k, c] += taps[k] · from[i, c].
C3N_EXPORT void c3n_filter_rows_transposed(int64_t n_rows, int64_t columns, int n_taps, const int64_t* rows,
                                           const float* taps, const float* from, float* to) {
    for (int64_t i = 0; i < n_rows; ++i) {
        const float* row = from + i * columns;
        for (int k = 0; k < n_taps; ++k) {
            float* sum = to + (rows[i] + k) * columns;
            for (int64_t c = 0; c < columns; ++c) sum[c] += taps[k] * row[c];
        }
    }
}
