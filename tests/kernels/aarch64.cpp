// Calls one kernel in a process of its own: the job and all it points to come from a file, what it writes goes to another.
// A block in the file: its size, whether it is an output, its bytes, and (offset, block) for every pointer in it.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
void c3n_layout(int32_t* width, int32_t* columns);
int c3n_density_charge3net(void* job);
int c3n_gradient_charge3net(void* job);
int c3n_density_delta(void* job);
int c3n_gradient_delta(void* job);
int c3n_density_painn(void* job);
int c3n_density_schnet(void* job);
int c3n_messages_forward(void* job);
int c3n_messages_backward(void* job);
}

struct Kernel {
    const char* name;
    int (*run)(void*);
};

const Kernel kKernels[] = {{"c3n_density_charge3net", c3n_density_charge3net},
                           {"c3n_gradient_charge3net", c3n_gradient_charge3net},
                           {"c3n_density_delta", c3n_density_delta},
                           {"c3n_gradient_delta", c3n_gradient_delta},
                           {"c3n_density_painn", c3n_density_painn},
                           {"c3n_density_schnet", c3n_density_schnet},
                           {"c3n_messages_forward", c3n_messages_forward},
                           {"c3n_messages_backward", c3n_messages_backward}};

struct Output {
    void* memory;
    int64_t size;
};

Output outputs[64];
int n_outputs = 0;

static void get(FILE* file, void* to, size_t size) {
    if (size && fread(to, 1, size, file) != size) exit(10);
}

static void* block(FILE* file) {
    int64_t head[2], pointers, offset;
    get(file, head, sizeof head);
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, head[0] + 64)) exit(11);
    get(file, memory, head[0]);
    if (head[1]) outputs[n_outputs++] = {memory, head[0]};
    get(file, &pointers, sizeof pointers);
    for (int64_t i = 0; i < pointers; ++i) {
        get(file, &offset, sizeof offset);
        void* inner = block(file);
        memcpy(static_cast<char*>(memory) + offset, &inner, sizeof inner);
    }
    return memory;
}

int main(int count, char** arguments) {
    int32_t width, columns;
    c3n_layout(&width, &columns);
    if (count < 4) return printf("%d %d\n", width, columns) < 0;
    FILE* file = fopen(arguments[2], "rb");
    void* job = block(file);
    fclose(file);
    for (const Kernel& kernel : kKernels)
        if (!strcmp(kernel.name, arguments[1])) {
            if (kernel.run(job)) return 12;
            file = fopen(arguments[3], "wb");
            for (int i = 0; i < n_outputs; ++i) fwrite(outputs[i].memory, 1, outputs[i].size, file);
            return fclose(file);
        }
    return 13;
}
