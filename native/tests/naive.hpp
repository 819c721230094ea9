// The same questions answered by plain loops in double precision, to be read rather than run.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "../question.hpp"

namespace naive {

using scoremachines::Run;
using scoremachines::Source;

// A question with the memory that it points to.
template <class T> struct Asked {
    scoremachines::Question<T> question{};
    std::vector<T> noisy, values, bias;
    std::vector<unsigned char> bytes;
    std::vector<double> scale;
    std::vector<std::int64_t> index;
};

inline int below(std::mt19937& draw, int end) { return int(draw() % unsigned(end)); }

// The runs of one axis for one of four kinds of sources, as engine/geometry.py has them.
inline std::vector<Run> runs_of(int size, int window, int kind) {
    const int radius = window / 2, inside = size - 2 * radius;
    std::vector<Run> runs;
    if (kind == 0 || kind == 3) runs.push_back({0, 0, size});
    for (int shift = 0; shift < size; ++shift) {
        if (kind == 1) runs.push_back({shift, 0, size});
        if (kind == 2) runs.push_back({radius + shift, radius, inside});
    }
    for (int d = 1 - inside; kind == 3 && d < inside; ++d)
        if (d) runs.push_back({radius + std::max(-d, 0), radius + std::max(d, 0), inside - std::abs(d)});
    return runs;
}

template <class T> void fill(std::mt19937& draw, std::vector<T>& values, double size) {
    std::normal_distribution<double> normal(0, size);
    for (T& value : values) value = T(normal(draw));
}

// Runs that no kind of sources has: all pixels, then others in no order, some side by side, as far along
// as the noisy image reaches.
inline std::vector<Run> other_runs(std::mt19937& draw, int size, int extent) {
    std::vector<Run> runs{{0, 0, size}};
    for (int more = 1 + below(draw, 9); more > 0; --more) {
        const bool beside = below(draw, 4);
        Run run = beside ? runs.back() : Run{0, 0, 1 + below(draw, size)};
        run.length = std::max(1, run.length - below(draw, 2));
        run.source = below(draw, size - run.length + 1);
        run.query = beside ? std::min(run.query + 1, extent - run.length) : below(draw, extent - run.length + 1);
        runs.push_back(run);
    }
    return runs;
}

// Draws a small question: any kind of sources or none, odd sizes, bytes or values, with or without a bias.
template <class T> void draw_question(std::mt19937& draw, Asked<T>& asked) {
    auto& q = asked.question;
    q.batch = 1 + below(draw, 3);
    q.channels = 1 + below(draw, 4);
    q.height = 1 + below(draw, 8);
    q.width = 1 + below(draw, 8);
    q.count = 1 + below(draw, 40);
    q.window = 1 + 2 * below(draw, (std::min(q.height, q.width) + 1) / 2);
    q.frame = q.window / 2;
    const int kind = below(draw, 5);
    q.wrapped = kind == 1;
    const int times = kind == 4 ? 4 : kind == 1 || kind == 2 ? 2 : 1;
    q.rows = kind == 4 ? other_runs(draw, q.height, times * q.height) : runs_of(q.height, q.window, kind);
    q.columns = kind == 4 ? other_runs(draw, q.width, times * q.width) : runs_of(q.width, q.window, kind);
    q.noisy_height = times * q.height + q.window - 1;
    q.noisy_width = times * q.width + q.window - 1;
    const std::size_t pixels = std::size_t(q.height) * q.width;
    asked.noisy.resize(std::size_t(q.batch) * q.channels * q.noisy_height * q.noisy_width);
    fill(draw, asked.noisy, 1);
    // Where pixels recur they are the same again.
    for (std::size_t j = 0; times > 1 && j < asked.noisy.size(); ++j) {
        const std::size_t width = q.noisy_width, row = j / width % q.noisy_height, column = j % width;
        asked.noisy[j] = asked.noisy[j - (row - row % q.height) * width - (column - column % q.width)];
    }
    q.noisy = asked.noisy.data();
    asked.scale.resize(q.batch);
    for (double& scale : asked.scale) scale = -std::pow(10.0, below(draw, 7) - 4);
    q.scale = asked.scale.data();
    const std::size_t total = q.count * q.channels * pixels;
    asked.bytes.resize(total);
    for (unsigned char& byte : asked.bytes) byte = static_cast<unsigned char>(draw());
    asked.values.resize(total);
    for (std::size_t i = 0; i < total; ++i) asked.values[i] = T(asked.bytes[i]) / T(127.5) - T(1);
    (below(draw, 2) ? q.values = asked.values.data() : nullptr);
    if (!q.values) q.bytes = asked.bytes.data();
    asked.bias.resize(q.batch * q.count * pixels);
    fill(draw, asked.bias, 3);
    if (below(draw, 2)) q.bias = asked.bias.data();
    for (int i = 0; i < q.count; ++i) asked.index.push_back(10 + 3 * i);
    q.index = asked.index.data();
    q.best = below(draw, 4);
    q.depth = 80;
    q.rounding = below(draw, 2) ? 2e-5 : 0;
    q.threads = 1 + below(draw, 3);
}

// x_i(r, c) of one channel, outside the image as the question continues it.
template <class T> double clean(const Asked<T>& asked, int image, int channel, int r, int c) {
    const auto& q = asked.question;
    const bool outside = r < 0 || c < 0 || r >= q.height || c >= q.width;
    if (outside && !q.wrapped) return 0;
    r = (r + q.height) % q.height, c = (c + q.width) % q.width;
    const std::size_t plane = std::size_t(image) * q.channels + channel;
    return asked.values[(plane * q.height + r) * q.width + c];
}

// One pair (u, v): the source, and its pixel.
struct Pair {
    int pixel;
    Source source;
    int image;
};

// Visits all pairs of one noisy image, with their log-weights.
template <class T> std::vector<Pair> pairs_of(const Asked<T>& asked, int sample, bool biased) {
    const auto& q = asked.question;
    std::vector<Pair> pairs;
    const auto weight = [&](const Run& row, const Run& column, int i, int j, int image) {
        double distance = 0;
        for (int c = 0; c < q.channels; ++c)
            for (int a = 0; a < q.window; ++a)
                for (int b = 0; b < q.window; ++b) {
                    const std::size_t line =
                        (std::size_t(sample) * q.channels + c) * q.noisy_height + row.query + i + a;
                    const double near = asked.noisy[line * q.noisy_width + column.query + j + b];
                    const double apart = near - clean(asked, image, c, row.source + i + a - q.frame,
                                                      column.source + j + b - q.frame);
                    distance += apart * apart;
                }
        return distance * asked.scale[sample];
    };
    for (const Run& row : q.rows)
        for (const Run& column : q.columns)
            for (int i = 0; i < row.length; ++i)
                for (int j = 0; j < column.length; ++j)
                    for (int image = 0; image < q.count; ++image) {
                        const int pixel = (row.query + i) % q.height * q.width +
                                          (column.query + j) % q.width;
                        double one = weight(row, column, i, j, image);
                        const std::size_t at = std::size_t(sample) * q.count + image;
                        if (biased && q.bias) one += q.bias[at * q.height * q.width + pixel];
                        const std::int64_t position =
                            std::int64_t(row.source + i) * q.width + column.source + j;
                        pairs.push_back({pixel, {one, q.index[image], position}, image});
                    }
    return pairs;
}

}  // namespace naive
