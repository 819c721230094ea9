// What the kernels use of the standard library: included before any instruction set is chosen, so
// that its inline functions are compiled for every processor.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "question.hpp"
