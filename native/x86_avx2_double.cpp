// The kernels in double precision for AVX2 and FMA.
// setup.py compiles this file for them; it is called only where the processor has them.
#include "headers.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace scoremachines {
namespace avx2 {
#include "lanes_avx2.hpp"
#include "kernels.hpp"
}  // namespace avx2

const Kernels<double>* avx2_double() { return &avx2::kernels<double>; }

}  // namespace scoremachines

#endif
