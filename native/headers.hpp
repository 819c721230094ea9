// What the kernels use of the standard library: included before any instruction set is chosen, so
// that its inline functions are compiled for every processor.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <type_traits>
#include <vector>

#include "question.hpp"

// For small functions in innermost loops, which compilers would not always put in place there.
#define IN_PLACE [[gnu::always_inline]] inline
// For loops that would find no free registers inside another function.
#define APART [[gnu::noinline]]
