// The border to Python of sources with a width: every argument is checked here.
#include "border.hpp"

using namespace scoremachines;

namespace {

int size_of(const py::array& array, int axis, const char* name) {
    if (array.ndim() <= axis || array.shape(axis) < 1 || array.shape(axis) > (1 << 30))
        refuse(name, "every axis must be from 1 to 2^30");
    return int(array.shape(axis));
}

struct SmoothArguments {
    py::array left, level, projected, lengths, colours;
};

template <class T>
py::tuple smooth(const SmoothArguments& given, int threads, const std::string& instructions) {
    SmoothQuestion<T> q{};
    q.left = data<T>(given.left, "left", {-1, -1, -1});
    q.pixels = size_of(given.left, 0, "left");
    q.scales = size_of(given.left, 1, "left");
    q.length = int(given.left.shape(2));  // none where all axes are cut
    if (q.length > (1 << 20)) refuse("left", "at most 2^20 axes");
    q.projected = data<T>(given.projected, "projected", {-1, q.length});
    q.sources = size_of(given.projected, 0, "projected");
    q.colours = data<T>(given.colours, "colours", {q.scales, q.sources, -1});
    q.channels = size_of(given.colours, 2, "colours");
    q.level = data<T>(given.level, "level", {q.pixels, q.scales});
    q.lengths = data<T>(given.lengths, "lengths", {q.scales, q.sources});
    if (threads < 1 || threads > 4096) refuse("threads", "from 1 to 4096");
    q.threads = threads;
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    const py::ssize_t pixels = q.pixels;
    py::array_t<double> log_weight(pixels), share({pixels, py::ssize_t(q.scales)});
    py::array_t<double> colour({pixels, py::ssize_t(q.channels)});
    const SmoothAnswer answer{log_weight.mutable_data(), share.mutable_data(), colour.mutable_data()};
    {
        const py::gil_scoped_release free;
        kernels.smooth(q, answer);
    }
    return py::make_tuple(log_weight, share, colour);
}

}  // namespace

void define_smooth(py::module_& module) {
    module.def(
        "smooth",
        [](const py::array& left, const py::array& level, const py::array& projected,
           const py::array& lengths, const py::array& colours, int threads,
           const std::string& instructions) -> py::tuple {
            return by_type(left, [&](auto zero) -> py::tuple {
                return smooth<decltype(zero)>({left, level, projected, lengths, colours}, threads,
                                              instructions);
            });
        },
        py::arg("left"), py::arg("level"), py::arg("projected"), py::arg("lengths"),
        py::arg("colours"), py::arg("threads"), py::arg("instructions") = "");
}
