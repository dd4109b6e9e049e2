// What the kernels share: vectors of channels, scratch memory, a parallel loop.
//
// Plain C++ against libc and pthreads only: no exceptions, no C++ runtime, no torch or Python headers, so that one library
// serves every version of both. Tensors come as pointers to contiguous float32 data.
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Widest vector (floats) and how many vectors may be live as accumulators; from what the compiler is told of the processor.
#if defined(__AVX512F__)
#define C3N_WIDE 16
#define C3N_ACCUMULATORS 27
#elif defined(__AVX2__)
#define C3N_WIDE 8
#define C3N_ACCUMULATORS 12
#elif defined(__aarch64__)
#define C3N_WIDE 8
#define C3N_ACCUMULATORS 12
#else
#define C3N_WIDE 8
#define C3N_ACCUMULATORS 6
#endif

#define C3N_EXPORT extern "C" __attribute__((visibility("default")))

namespace c3n {

constexpr int kMaxL = 6;
constexpr int kMaxM = 2 * kMaxL + 1;

template <int W>
struct VectorOf {
    typedef float type __attribute__((vector_size(W * 4)));
    typedef float unaligned __attribute__((vector_size(W * 4), aligned(4)));
};
template <int W>
using Vec = typename VectorOf<W>::type;

// W floats of which `valid` exist; the others read as zero and are not written.
template <int W>
inline Vec<W> load(const float* from, int valid) {
    if (valid == W) return *reinterpret_cast<const typename VectorOf<W>::unaligned*>(from);
    float lanes[W] __attribute__((aligned(64))) = {};
    for (int i = 0; i < valid; ++i) lanes[i] = from[i];
    return *reinterpret_cast<const Vec<W>*>(lanes);
}

template <int W>
inline void store(float* to, Vec<W> value, int valid) {
    if (valid == W) {
        *reinterpret_cast<typename VectorOf<W>::unaligned*>(to) = value;
        return;
    }
    float lanes[W] __attribute__((aligned(64)));
    *reinterpret_cast<Vec<W>*>(lanes) = value;
    for (int i = 0; i < valid; ++i) to[i] = lanes[i];
}

// Aligned memory that lives as long as the object.
class Scratch {
   public:
    explicit Scratch(size_t floats) {
        if (posix_memalign(&memory_, 64, (floats ? floats : 1) * sizeof(float))) memory_ = nullptr;
    }
    ~Scratch() { free(memory_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    float* data() const { return static_cast<float*>(memory_); }
    bool ok() const { return memory_ != nullptr; }

   private:
    void* memory_ = nullptr;
};

// body(context, i) for i in 0 … n-1, on up to `threads` threads; whichever thread is free takes the next i.
// Threads live for one call: there is no pool to break when a process forks.
typedef void (*Body)(void* context, int i);

struct Loop {
    Body body;
    void* context;
    int n;
    int next;
};

inline void* run_loop(void* argument) {
    Loop* loop = static_cast<Loop*>(argument);
    for (int i; (i = __atomic_fetch_add(&loop->next, 1, __ATOMIC_RELAXED)) < loop->n;) loop->body(loop->context, i);
    return nullptr;
}

inline void parallel_for(int n, int threads, Body body, void* context) {
    Loop loop = {body, context, n, 0};
    constexpr int kMaxThreads = 256;
    pthread_t others[kMaxThreads];
    int started = 0;
    const int wanted = (threads < n ? threads : n) - 1;
    while (started < wanted && started < kMaxThreads) {
        if (pthread_create(&others[started], nullptr, run_loop, &loop)) break;
        ++started;
    }
    run_loop(&loop);
    for (int i = 0; i < started; ++i) pthread_join(others[i], nullptr);
}

}  // namespace c3n
