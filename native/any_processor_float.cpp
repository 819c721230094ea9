// The kernels in single precision for any processor.
#include "headers.hpp"

namespace scoremachines {
namespace plain {
#include "lanes_plain.hpp"
#include "kernels.hpp"
}  // namespace plain

const Kernels<float>* plain_float() { return &plain::kernels<float>; }

}  // namespace scoremachines
