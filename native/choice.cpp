#include "choice.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace scoremachines {

const Kernels<float>* avx512_float();
const Kernels<double>* avx512_double();
const Kernels<float>* avx2_float();
const Kernels<double>* avx2_double();
const Kernels<float>* plain_float();
const Kernels<double>* plain_double();

static std::vector<InstructionSet> found() {
    std::vector<InstructionSet> sets;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        sets.push_back({"avx512", avx512_float(), avx512_double()});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        sets.push_back({"avx2", avx2_float(), avx2_double()});
#endif
    sets.push_back({"plain", plain_float(), plain_double()});
    return sets;
}

const std::vector<InstructionSet>& instruction_sets() {
    static const std::vector<InstructionSet> sets = found();
    return sets;
}

void in_parallel(std::int64_t units, int threads, void (*work)(void*, std::int64_t), void* data) {
    std::atomic<std::int64_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    const auto take = [&] {
        try {
            for (std::int64_t unit = next++; unit < units; unit = next++) work(data, unit);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(guard);
            if (!failure) failure = std::current_exception();
            next = units;
        }
    };
    std::vector<std::thread> others;
    const int useful = int(std::min<std::int64_t>(threads, units));
    others.reserve(std::size_t(std::max(useful, 1)));  // so that no running thread is ever left behind
    for (int thread = 1; thread < useful; ++thread) {
        try {
            others.emplace_back(take);
        } catch (const std::system_error&) {
            break;  // no more threads to be had: those that run take the rest
        }
    }
    take();
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace scoremachines
