// The border to Python: every argument is checked here, so that the kernels may trust them.
#include <algorithm>
#include <cmath>

#include "arguments.hpp"

using namespace scoremachines;

namespace {

const std::int64_t* indices(const py::array& index, int count) {
    const std::int64_t* places = data<std::int64_t>(index, "index", {count});
    if (*std::min_element(places, places + count) < 0) refuse("index", "at least 0");
    return places;
}

template <class T>
py::tuple posterior(const Arguments<T>& given, const py::array& index, int best,
                    const std::string& instructions) {
    Question<T> q = question_of(given);
    q.index = indices(index, q.count);
    if (best < 0 || best > (1 << 16)) refuse("best", "from 0 to 65536");
    q.best = best;
    q.rounding = rounding_of_posterior;
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    const std::vector<py::ssize_t> pixels{q.batch, q.height, q.width};
    const std::vector<py::ssize_t> list{q.batch, best, q.height, q.width};
    py::array_t<double> log_weight(pixels), entropy(pixels), source_weight(list);
    py::array_t<T> mean({q.batch, q.channels, q.height, q.width});
    py::array_t<std::int64_t> image(list), position(list);
    const Answer<T> answer{log_weight.mutable_data(),
                           mean.mutable_data(),
                           entropy.mutable_data(),
                           source_weight.mutable_data(),
                           image.mutable_data(),
                           position.mutable_data()};
    {
        const py::gil_scoped_release free;
        kernels.posterior(q, answer);
    }
    return py::make_tuple(log_weight, mean, entropy, source_weight, image, position);
}

// The same from some of the pairs; the means are those of x and of x².
template <class T>
py::tuple sampled(const Arguments<T>& given, const py::array& index, const py::array& threshold,
                  std::uint64_t seed, const std::string& instructions) {
    Question<T> q = question_of(given);
    q.index = indices(index, q.count);
    q.rounding = rounding_of_posterior;
    q.threshold = data<double>(threshold, "threshold", {q.batch, q.height, q.width});
    q.seed = seed;
    if (std::any_of(q.threshold, q.threshold + threshold.size(), [](double t) { return std::isnan(t); }))
        refuse("threshold", "numbers, or infinite");
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    py::array_t<double> log_weight({q.batch, q.height, q.width});
    py::array_t<T> means({q.batch, 2 * q.channels, q.height, q.width});
    Answer<T> answer{};
    answer.log_weight = log_weight.mutable_data();
    answer.mean = means.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.posterior(q, answer);
    }
    return py::make_tuple(log_weight, means);
}

template <class T>
py::array evidence(const Arguments<T>& given, const std::string& instructions) {
    Question<T> q = question_of(given);
    q.rounding = rounding_of_evidence;
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    py::array_t<T> result({q.batch, q.count, q.height, q.width});
    T* values = result.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.evidence(q, values);
    }
    return std::move(result);
}

template <class T> WholeQuestion<T> whole_question(const py::array& images, int threads) {
    if (images.ndim() != 2) refuse("images", "two axes are wanted");
    for (int axis = 0; axis < 2; ++axis)
        if (images.shape(axis) < 1 || images.shape(axis) > (1 << 30))
            refuse("images", "every axis must be from 1 to 2^30");
    WholeQuestion<T> q{};
    q.count = int(images.shape(0));
    q.size = images.shape(1);
    if (threads < 1 || threads > 4096) refuse("threads", "from 1 to 4096");
    q.threads = threads;
    if (py::isinstance<py::array_t<unsigned char>>(images))
        q.bytes = data<unsigned char>(images, "images", {-1, -1});
    else
        q.values = data<T>(images, "images", {-1, -1});
    return q;
}

template <class T>
py::array distances(const py::array& noisy, const py::array& images, int threads,
                    const std::string& instructions) {
    WholeQuestion<T> q = whole_question<T>(images, threads);
    const T* given = data<T>(noisy, "noisy", {-1, q.size});
    q.batch = int(noisy.shape(0));
    py::array_t<double> result({q.batch, q.count});
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    double* values = result.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.distances(q, given, values);
    }
    return std::move(result);
}

template <class T>
py::array average(const py::array& weights, const py::array& images, int threads,
                  const std::string& instructions) {
    WholeQuestion<T> q = whole_question<T>(images, threads);
    const T* given = data<T>(weights, "weights", {-1, q.count});
    q.batch = int(weights.shape(0));
    py::array_t<double> result({py::ssize_t(q.batch), py::ssize_t(q.size)});
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    double* values = result.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.average(q, given, values);
    }
    return std::move(result);
}

}  // namespace

void define_gradients(py::module_& module);  // gradients.cpp
void define_smooth(py::module_& module);     // smooths.cpp

PYBIND11_MODULE(_native, module) {
    define_gradients(module);
    define_smooth(module);
    module.doc() = "Evidence and posterior of a block of training images (theory 2).";
    module.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const InstructionSet& set : instruction_sets()) names.push_back(set.name);
        return names;
    });
    module.def(
        "posterior",
        [](const py::array& noisy, const py::array& scale, const py::array& images,
           const py::object& bias, const py::array& index, const py::array& rows,
           const py::array& columns, int window, bool wrapped, int best, double depth, int threads,
           const std::string& instructions) -> py::tuple {
            return by_type(noisy, [&](auto zero) -> py::tuple {
                using T = decltype(zero);
                return posterior<T>({noisy, scale, images, rows, columns, bias, window, wrapped,
                                     depth, threads},
                                    index, best, instructions);
            });
        },
        py::arg("noisy"), py::arg("scale"), py::arg("images"), py::arg("bias").none(true),
        py::arg("index"), py::arg("rows"), py::arg("columns"), py::arg("window"),
        py::arg("wrapped"), py::arg("best"), py::arg("depth"), py::arg("threads"),
        py::arg("instructions") = "");
    module.def(
        "sampled",
        [](const py::array& noisy, const py::array& scale, const py::array& images,
           const py::array& index, const py::array& rows, const py::array& columns, int window,
           bool wrapped, const py::array& threshold, std::uint64_t seed, int threads,
           const std::string& instructions) -> py::tuple {
            return by_type(noisy, [&](auto zero) -> py::tuple {
                using T = decltype(zero);
                return sampled<T>({noisy, scale, images, rows, columns, py::none(), window, wrapped,
                                   1.0, threads},
                                  index, threshold, seed, instructions);
            });
        },
        py::arg("noisy"), py::arg("scale"), py::arg("images"), py::arg("index"), py::arg("rows"),
        py::arg("columns"), py::arg("window"), py::arg("wrapped"), py::arg("threshold"),
        py::arg("seed"), py::arg("threads"), py::arg("instructions") = "");
    module.def(
        "evidence",
        [](const py::array& noisy, const py::array& scale, const py::array& images,
           const py::array& rows, const py::array& columns, int window, bool wrapped, double depth,
           int threads, const std::string& instructions) -> py::array {
            return by_type(noisy, [&](auto zero) -> py::array {
                using T = decltype(zero);
                return evidence<T>({noisy, scale, images, rows, columns, py::none(), window,
                                    wrapped, depth, threads},
                                   instructions);
            });
        },
        py::arg("noisy"), py::arg("scale"), py::arg("images"), py::arg("rows"), py::arg("columns"),
        py::arg("window"), py::arg("wrapped"), py::arg("depth"), py::arg("threads"),
        py::arg("instructions") = "");
    module.def(
        "distances",
        [](const py::array& noisy, const py::array& images, int threads,
           const std::string& instructions) -> py::array {
            return by_type(noisy, [&](auto zero) -> py::array {
                return distances<decltype(zero)>(noisy, images, threads, instructions);
            });
        },
        py::arg("noisy"), py::arg("images"), py::arg("threads"), py::arg("instructions") = "");
    module.def(
        "average",
        [](const py::array& weights, const py::array& images, int threads,
           const std::string& instructions) -> py::array {
            return by_type(weights, [&](auto zero) -> py::array {
                return average<decltype(zero)>(weights, images, threads, instructions);
            });
        },
        py::arg("weights"), py::arg("images"), py::arg("threads"), py::arg("instructions") = "");
}
