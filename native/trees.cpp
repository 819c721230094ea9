// The border to Python of trees of patches: every argument is checked here.
#include <algorithm>
#include <cmath>

#include "border.hpp"

using namespace scoremachines;

namespace {

constexpr py::ssize_t most = 1 << 24;

struct TreeArguments {
    py::array images, basis;
    int window;
    bool wrapped;
    int threads;
};

int levels_of(std::size_t patches) {
    int levels = 0;
    while ((patches >> levels) >= std::size_t(leaf_patches)) ++levels;
    return levels;
}

std::vector<py::ssize_t> boxes_shape(int levels) {
    return {py::ssize_t(group_count(levels)), 2, code_size, branching};
}

std::size_t patches_of(const py::array& images, int window, bool wrapped) {
    const std::size_t rows = wrapped ? images.shape(2) : images.shape(2) - window + 1;
    const std::size_t columns = wrapped ? images.shape(3) : images.shape(3) - window + 1;
    return std::size_t(images.shape(0)) * rows * columns;
}

template <class T> TreeQuestion<T> tree_question(const TreeArguments& given) {
    TreeQuestion<T> q{};
    if (given.images.ndim() != 4) refuse("images", "four axes are wanted");
    for (int axis = 0; axis < 4; ++axis)
        if (given.images.shape(axis) < 1 || given.images.shape(axis) > most)
            refuse("images", "every axis must be from 1 to 2^24");
    q.count = int(given.images.shape(0));
    q.channels = int(given.images.shape(1));
    q.height = int(given.images.shape(2));
    q.width = int(given.images.shape(3));
    if (given.window < 1 || given.window % 2 == 0 || given.window > std::min(q.height, q.width))
        refuse("window", "odd, from 1 to the size of the images");
    if (given.threads < 1 || given.threads > 4096) refuse("threads", "from 1 to 4096");
    if (py::ssize_t(q.channels) * given.window * given.window > most)
        refuse("window", "at most 2^24 values");
    q.window = given.window;
    q.size = q.channels * q.window * q.window;
    q.rows = given.wrapped ? q.height : q.height - q.window + 1;
    q.columns = given.wrapped ? q.width : q.width - q.window + 1;
    q.threads = given.threads;
    const std::size_t patches = patches_of(given.images, q.window, given.wrapped);
    if (patches >= (std::size_t(1) << 32)) refuse("images", "fewer than 2^32 patches");
    q.levels = levels_of(patches);
    q.basis = data<double>(given.basis, "basis", {q.size, directions});
    double reach = 1;
    if (py::isinstance<py::array_t<unsigned char>>(given.images)) {
        q.bytes = data<unsigned char>(given.images, "images", {-1, -1, -1, -1});
    } else {
        q.values = data<T>(given.images, "images", {-1, -1, -1, -1});
        for (py::ssize_t at = 0; at < given.images.size(); ++at) {
            if (!std::isfinite(q.values[at])) refuse("images", "finite values are wanted");
            reach = std::max(reach, double(std::abs(q.values[at])));
        }
    }
    q.reach = reach * std::sqrt(double(q.size)) * (1 + 1e-9);
    return q;
}

template <class T>
py::tuple tree(const TreeArguments& given, const std::string& instructions) {
    const TreeQuestion<T> q = tree_question<T>(given);
    const py::ssize_t patches = py::ssize_t(patches_of(given.images, q.window, given.wrapped));
    py::array_t<std::uint32_t> order(patches);
    py::array_t<float> boxes(boxes_shape(q.levels));
    std::fill(boxes.mutable_data(), boxes.mutable_data() + boxes.size(), 0.0f);
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    std::uint32_t* places = order.mutable_data();
    float* limits = boxes.mutable_data();
    {
        const py::gil_scoped_release free;
        kernels.tree(q, places, limits);
    }
    return py::make_tuple(order, boxes);
}

struct SearchArguments {
    TreeArguments tree;
    py::array order, boxes, noisy, scale, threshold, index;
    int best;
    double depth;
};

template <class T> SearchQuestion<T> search_question(const SearchArguments& given) {
    SearchQuestion<T> q{};
    q.tree = tree_question<T>(given.tree);
    const TreeQuestion<T>& tree = q.tree;
    const std::size_t patches =
        patches_of(given.tree.images, tree.window, given.tree.wrapped);
    q.order = data<std::uint32_t>(given.order, "order", {py::ssize_t(patches)});
    for (std::size_t at = 0; at < patches; ++at)
        if (q.order[at] >= patches) refuse("order", "a patch that does not exist");
    q.boxes = data<float>(given.boxes, "boxes", boxes_shape(tree.levels));
    const py::ssize_t plane = py::ssize_t(tree.height) * tree.width;
    if (given.noisy.ndim() == 4 && given.noisy.shape(0) * plane > most)
        refuse("noisy", "at most 2^24 pixels");
    if (given.noisy.ndim() != 4 || given.noisy.shape(0) < 1 || given.noisy.shape(0) > most)
        refuse("noisy", "four axes are wanted");
    q.batch = int(given.noisy.shape(0));
    q.noisy = data<T>(given.noisy, "noisy",
                      {q.batch, tree.channels, tree.height + tree.window - 1,
                       tree.width + tree.window - 1});
    q.scale = data<double>(given.scale, "scale", {q.batch});
    for (int b = 0; b < q.batch; ++b)
        if (!std::isfinite(q.scale[b]) || q.scale[b] > 0) refuse("scale", "finite, at most 0");
    q.threshold = data<double>(given.threshold, "threshold", {q.batch, tree.height, tree.width});
    q.index = data<std::int64_t>(given.index, "index", {tree.count});
    if (given.best < 0 || given.best > (1 << 16)) refuse("best", "from 0 to 65536");
    if (!(given.depth > 0)) refuse("depth", "above 0");
    q.best = given.best;
    q.depth = given.depth;
    return q;
}

template <class T>
py::tuple search(const SearchArguments& given, const std::string& instructions) {
    const SearchQuestion<T> q = search_question<T>(given);
    const Kernels<T>& kernels = kernels_of<T>(chosen(instructions));
    const std::vector<py::ssize_t> pixels{q.batch, q.tree.height, q.tree.width};
    const std::vector<py::ssize_t> list{q.batch, q.best, q.tree.height, q.tree.width};
    py::array_t<double> log_weight(pixels), log_rest(pixels), entropy(pixels), source_weight(list);
    py::array_t<T> mean({q.batch, q.tree.channels, q.tree.height, q.tree.width});
    py::array_t<std::int64_t> image(list), position(list);
    std::int64_t evaluated = 0;
    const SearchAnswer<T> answer{
        {log_weight.mutable_data(), mean.mutable_data(), entropy.mutable_data(),
         source_weight.mutable_data(), image.mutable_data(), position.mutable_data()},
        log_rest.mutable_data(),
        &evaluated};
    {
        const py::gil_scoped_release free;
        kernels.search(q, answer);
    }
    return py::make_tuple(evaluated, log_rest, log_weight, mean, entropy, source_weight, image,
                          position);
}

}  // namespace

void define_trees(py::module_& module) {
    module.attr("directions") = directions;
    module.def(
        "tree",
        [](const py::array& images, const py::array& basis, int window, bool wrapped, bool doubles,
           int threads, const std::string& instructions) -> py::tuple {
            const TreeArguments given{images, basis, window, wrapped, threads};
            return doubles ? tree<double>(given, instructions) : tree<float>(given, instructions);
        },
        py::arg("images"), py::arg("basis"), py::arg("window"), py::arg("wrapped"),
        py::arg("doubles"), py::arg("threads"), py::arg("instructions") = "");
    module.def(
        "search",
        [](const py::array& images, const py::array& basis, int window, bool wrapped, int threads,
           const py::array& order, const py::array& boxes, const py::array& noisy,
           const py::array& scale, const py::array& threshold, const py::array& index, int best,
           double depth, const std::string& instructions) -> py::tuple {
            const SearchArguments given{{images, basis, window, wrapped, threads}, order, boxes,
                                        noisy, scale, threshold, index, best, depth};
            return by_type(noisy, [&](auto zero) -> py::tuple {
                return search<decltype(zero)>(given, instructions);
            });
        },
        py::arg("images"), py::arg("basis"), py::arg("window"), py::arg("wrapped"),
        py::arg("threads"), py::arg("order"), py::arg("boxes"), py::arg("noisy"),
        py::arg("scale"), py::arg("threshold"), py::arg("index"), py::arg("best"),
        py::arg("depth"), py::arg("instructions") = "");
}
