// The kernels in double precision for AVX-512 (F, DQ, BW, VL).
// setup.py compiles this file for them; it is called only where the processor has them.
#include "headers.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace scoremachines {
namespace avx512 {
#include "lanes_avx512.hpp"
#include "kernels.hpp"
}  // namespace avx512

const Kernels<double>* avx512_double() { return &avx512::kernels<double>; }

}  // namespace scoremachines

#endif
