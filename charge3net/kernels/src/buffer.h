// Memory that grows.
#pragma once

#include "common.h"

namespace c3n {

template <class T>
class Buffer {
   public:
    Buffer() = default;
    ~Buffer() { free(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* data() const { return data_; }

    // Room for n, keeping the first `kept`; false without memory.
    bool reserve(int64_t n, int64_t kept = 0) {
        if (n <= size_) return true;
        const int64_t wanted = n + n / 2;
        void* memory = nullptr;
        if (posix_memalign(&memory, 64, wanted * sizeof(T))) return false;
        if (kept) memcpy(memory, data_, kept * sizeof(T));
        free(data_);
        data_ = static_cast<T*>(memory);
        size_ = wanted;
        return true;
    }

   private:
    T* data_ = nullptr;
    int64_t size_ = 0;
};

}  // namespace c3n
