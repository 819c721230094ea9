// The kernels in double precision for any processor.
#include "headers.hpp"

namespace scoremachines {
namespace plain {
#include "lanes_plain.hpp"
#include "kernels.hpp"
}  // namespace plain

const Kernels<double>* plain_double() { return &plain::kernels<double>; }

}  // namespace scoremachines
