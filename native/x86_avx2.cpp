// The kernels for AVX2 and FMA.
// setup.py compiles this file for them; it is called only where the processor has them.
#include "headers.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace scoremachines {
namespace avx2 {
#include "lanes_avx2.hpp"
#include "pair.hpp"
#include "groups.hpp"
#include "sweep.hpp"
#include "posterior.hpp"
#include "thinned.hpp"
#include "evidence.hpp"
#include "whole.hpp"
#include "forest.hpp"
#include "tally.hpp"
#include "search.hpp"
#include "search_work.hpp"
#include "kernels.hpp"
}  // namespace avx2

const Kernels<float>* avx2_float() { return &avx2::kernels<float>; }
const Kernels<double>* avx2_double() { return &avx2::kernels<double>; }

}  // namespace scoremachines

#endif
