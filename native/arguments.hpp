// What is asked about windows, as Python gives it, and checked.
#pragma once

#include <algorithm>
#include <cmath>

#include "border.hpp"

namespace scoremachines {

struct Axis {
    int size, framed_query;  // pixels, and those of the noisy image with its margins
};

// Runs [r, 3] of one axis, none of which reaches outside the images.
inline std::vector<Run> checked_runs(const py::array& array, const char* name, Axis axis, int window) {
    const int* values = data<int>(array, name, {-1, 3});
    std::vector<Run> runs;
    for (py::ssize_t r = 0; r < array.shape(0); ++r) {
        const Run run{values[3 * r], values[3 * r + 1], values[3 * r + 2]};
        const bool positive = run.query >= 0 && run.source >= 0 && run.length >= 1;
        const bool within = positive && run.length <= axis.size &&
                            run.source <= axis.size - run.length &&
                            run.query <= axis.framed_query - run.length - window + 1;
        if (!within) refuse(name, "a run reaches outside the images");
        runs.push_back(run);
    }
    if (runs.empty()) refuse(name, "at least one run is wanted");
    return runs;
}

template <class T> struct Arguments {
    py::array noisy, scale, images, rows, columns;
    py::object bias;
    int window;
    bool wrapped;
    double depth;
    int threads;
};

constexpr py::ssize_t most = 1 << 24;

// What products may lose of a log-weight, nats. Attention adds evidence up over pixels, and losses with it.
constexpr double rounding_of_posterior = 2e-3, rounding_of_evidence = rounding_of_posterior / 4;

template <class T> Question<T> question_of(const Arguments<T>& given) {
    Question<T> q{};
    q.noisy = data<T>(given.noisy, "noisy", {-1, -1, -1, -1});
    for (const py::array& array : {given.noisy, given.images}) {
        if (array.ndim() != 4) refuse("images", "four axes are wanted");
        for (int axis = 0; axis < 4; ++axis)
            if (array.shape(axis) < 1 || array.shape(axis) > most)
                refuse("images", "every axis must be from 1 to 2^24");
    }
    q.batch = int(given.noisy.shape(0));
    q.channels = int(given.noisy.shape(1));
    q.noisy_height = int(given.noisy.shape(2));
    q.noisy_width = int(given.noisy.shape(3));
    q.count = int(given.images.shape(0));
    q.height = int(given.images.shape(2));
    q.width = int(given.images.shape(3));
    if (py::ssize_t(q.height) * q.width > most) refuse("images", "at most 2^24 pixels");
    const std::vector<py::ssize_t> shape{-1, q.channels, -1, -1};
    if (py::isinstance<py::array_t<unsigned char>>(given.images))
        q.bytes = data<unsigned char>(given.images, "images", shape);
    else
        q.values = data<T>(given.images, "images", shape);
    q.scale = data<double>(given.scale, "scale", {q.batch});
    for (int b = 0; b < q.batch; ++b)
        if (!(std::abs(q.scale[b]) < 1e30) || q.scale[b] > 0) refuse("scale", "finite, at most 0");
    if (!given.bias.is_none()) {
        if (!py::isinstance<py::array>(given.bias)) refuse("bias", "an array or None is wanted");
        q.bias = data<T>(py::reinterpret_borrow<py::array>(given.bias), "bias",
                         {q.batch, q.count, q.height, q.width});
    }
    if (given.window < 1 || given.window % 2 == 0 || given.window > std::min(q.height, q.width))
        refuse("window", "odd, from 1 to the size of the images");
    if (given.threads < 1 || given.threads > 4096) refuse("threads", "from 1 to 4096");
    if (!(given.depth > 0)) refuse("depth", "above 0");
    q.window = given.window;
    q.frame = given.window / 2;
    q.wrapped = given.wrapped;
    q.depth = given.depth;
    q.threads = given.threads;
    q.rows = checked_runs(given.rows, "rows", {q.height, q.noisy_height}, q.window);
    q.columns = checked_runs(given.columns, "columns", {q.width, q.noisy_width}, q.window);
    return q;
}

}  // namespace scoremachines
