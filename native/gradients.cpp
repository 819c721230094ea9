// The border to Python of gradients and moments: every argument is checked here.
#include "arguments.hpp"

using namespace scoremachines;

namespace {

template <class T> py::tuple moments(const Arguments<T>& given, const std::string& instructions) {
    Question<T> q = question_of(given);
    q.rounding = rounding_of_evidence;
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    py::array_t<double> evidence({q.batch, q.count, q.height, q.width});
    py::array_t<T> mean({q.batch, q.count, q.channels, q.height, q.width});
    double* evidences = evidence.mutable_data();
    T* means = mean.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.moments(q, evidences, means);
    }
    return py::make_tuple(evidence, mean);
}

py::array pairs(const py::array& evidence, int threads, const std::string& instructions) {
    PairQuestion<double> q{};
    q.evidence = data<double>(evidence, "evidence", {-1, -1});
    for (int axis = 0; axis < 2; ++axis)
        if (evidence.shape(axis) < 1 || evidence.shape(axis) > most)
            refuse("evidence", "both axes must be from 1 to 2^24");
    if (threads < 1 || threads > 4096) refuse("threads", "from 1 to 4096");
    q.pixels = int(evidence.shape(0));
    q.count = int(evidence.shape(1));
    q.threads = threads;
    const Kernels<double>& kernels = kernels_of<double>(chosen(instructions));
    py::array_t<double> tables({4, q.pixels, q.pixels});
    q.tables = tables.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.pairs(q);
    }
    return std::move(tables);
}

struct PullArguments {
    py::array direction, level, gain, offset;
};

template <class T>
py::array gradient(const Arguments<T>& given, const PullArguments& pull, const std::string& instructions) {
    Question<T> q = question_of(given);
    Pulls<T> pulls{};
    pulls.of_images = pull.level.ndim() == 4 && pull.level.shape(1) != 1;
    // With attention the images' evidence has set the level, else the posterior has.
    q.rounding = pulls.of_images ? rounding_of_evidence : rounding_of_posterior;
    pulls.direction = data<T>(pull.direction, "direction", {q.batch, q.channels, q.height, q.width});
    const std::vector<py::ssize_t> shape{q.batch, pulls.of_images ? q.count : 1, q.height, q.width};
    pulls.level = data<double>(pull.level, "level", shape);
    pulls.gain = data<double>(pull.gain, "gain", shape);
    pulls.offset = data<double>(pull.offset, "offset", shape);
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    py::array_t<double> sums({q.batch, q.channels + 1, q.height, q.width});
    double* values = sums.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.gradient(q, pulls, values);
    }
    return std::move(sums);
}

}  // namespace

void define_gradients(py::module_& module) {
    module.def(
        "moments",
        [](const py::array& noisy, const py::array& scale, const py::array& images,
           const py::array& rows, const py::array& columns, int window, bool wrapped, double depth,
           int threads, const std::string& instructions) -> py::tuple {
            return by_type(noisy, [&](auto zero) -> py::tuple {
                using T = decltype(zero);
                return moments<T>({noisy, scale, images, rows, columns, py::none(), window, wrapped,
                                   depth, threads},
                                  instructions);
            });
        },
        py::arg("noisy"), py::arg("scale"), py::arg("images"), py::arg("rows"), py::arg("columns"),
        py::arg("window"), py::arg("wrapped"), py::arg("depth"), py::arg("threads"),
        py::arg("instructions") = "");
    module.def("pairs", &pairs, py::arg("evidence"), py::arg("threads"), py::arg("instructions") = "");
    module.def(
        "gradient",
        [](const py::array& noisy, const py::array& scale, const py::array& images,
           const py::array& rows, const py::array& columns, int window, bool wrapped,
           const py::array& direction, const py::array& level, const py::array& gain,
           const py::array& offset, double depth, int threads,
           const std::string& instructions) -> py::array {
            return by_type(noisy, [&](auto zero) -> py::array {
                using T = decltype(zero);
                return gradient<T>({noisy, scale, images, rows, columns, py::none(), window, wrapped,
                                    depth, threads},
                                   {direction, level, gain, offset}, instructions);
            });
        },
        py::arg("noisy"), py::arg("scale"), py::arg("images"), py::arg("rows"), py::arg("columns"),
        py::arg("window"), py::arg("wrapped"), py::arg("direction"), py::arg("level"),
        py::arg("gain"), py::arg("offset"), py::arg("depth"), py::arg("threads"),
        py::arg("instructions") = "");
}
