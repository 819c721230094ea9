// The kernels for any processor.
#include "headers.hpp"

namespace scoremachines {
namespace plain {
#include "lanes_plain.hpp"
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
}  // namespace plain

const Kernels<float>* plain_float() { return &plain::kernels<float>; }
const Kernels<double>* plain_double() { return &plain::kernels<double>; }

}  // namespace scoremachines
