// Which kernels this processor can run, the fastest first.
#pragma once

#include <string>
#include <vector>

#include "question.hpp"

namespace scoremachines {

struct InstructionSet {
    std::string name;
    const Kernels<float>* floats;
    const Kernels<double>* doubles;
};

const std::vector<InstructionSet>& instruction_sets();

}  // namespace scoremachines
