// What both files of the border to Python need to check their arguments.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "choice.hpp"

namespace py = pybind11;

namespace scoremachines {

[[noreturn]] inline void refuse(const std::string& argument, const std::string& accepted) {
    throw py::value_error(argument + ": " + accepted);
}

inline std::string text(const std::vector<py::ssize_t>& shape) {
    std::string result;
    for (const py::ssize_t size : shape) result += (result.empty() ? "" : ", ") + std::to_string(size);
    return "[" + result + "]";
}

// The data of a contiguous array of one type, of one shape where −1 stands for any size.
template <class T>
const T* data(const py::array& array, const char* name, const std::vector<py::ssize_t>& shape) {
    if (!py::isinstance<py::array_t<T>>(array)) refuse(name, "another type of number is wanted");
    if (!(array.flags() & py::array::c_style)) refuse(name, "must be contiguous");
    bool fits = array.ndim() == py::ssize_t(shape.size());
    for (std::size_t axis = 0; fits && axis < shape.size(); ++axis)
        fits = shape[axis] < 0 || array.shape(axis) == shape[axis];
    if (!fits) refuse(name, "shape " + text(shape) + " is wanted");
    const auto address = reinterpret_cast<std::uintptr_t>(array.data());
    if (address % alignof(T)) refuse(name, "must be aligned");
    return static_cast<const T*>(array.data());
}

inline const InstructionSet& chosen(const std::string& name) {
    for (const InstructionSet& set : instruction_sets())
        if (name.empty() || set.name == name) return set;
    refuse("instructions", "this processor has no " + name);
}

template <class T> const Kernels<T>& kernels_of(const InstructionSet& set);
template <> inline const Kernels<float>& kernels_of(const InstructionSet& set) { return *set.floats; }
template <> inline const Kernels<double>& kernels_of(const InstructionSet& set) { return *set.doubles; }

template <class Function> auto by_type(const py::array& noisy, const Function& function) {
    if (py::isinstance<py::array_t<double>>(noisy)) return function(double{});
    return function(float{});
}

}  // namespace scoremachines
