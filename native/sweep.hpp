// Patch distances of all pairs (u, v), displacement by displacement.
//
// For one displacement the distances are a box filter of one image of squared differences. The
// images of a block lie in the lanes of vectors, so all arithmetic is vector arithmetic. Windows are
// added up (windows.hpp) or, where there is noise enough, products take the place of differences and
// windows slide (products.hpp).
#pragma once

#include "block.hpp"
#include "exponential.hpp"
#include "products.hpp"
#include "windows.hpp"

// The working memory of one thread, and how a noisy image slides over a block of images.
template <class T, class Stored> class Sweep {
    using V = Pair<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;

  public:
    // `noisy` is what the question names, in the scale of what is stored; `together` displacements are visited
    // at once.
    Sweep(const Question<T>& question, const T* noisy, int together)
        : question_(question),
          noisy_(noisy),
          k_(question.window),
          line_(std::size_t(question.width + group_size) * lanes),
          groups_(grouped(question.columns, together, question.width)),
          block_(question),
          products_(question),
          bases_(group_size * lanes),
          windows_(question, noisy, block_, bases_.get()),
          leaned_(group_size * line_) {
        bases_.fill(0);
    }

    void take(int first) { block_.take(first); }
    bool take_bias(int sample) { return block_.take_bias(sample); }
    int present() const { return block_.present(); }

    // Visits all pairs of one noisy image, giving `sink` the log₂-weights of each row of pixels:
    // (ℓ + Π) / ln 2.
    template <class Sink> APART void visit(int sample, bool biased, Sink& sink) {
        multiply_ = by_products<T, Stored>(question_, sample);
        if (multiply_) block_.take_norms(log2_scale<T, Stored>(question_, sample), k_);
        for (const Group& group : groups_) {
            windows_.clear();
            if (biased) leaned_.fill(static_cast<T>(never));
            for (const Run& row : question_.rows) slide(sample, biased, row, group, sink);
        }
    }

  private:
    template <class Sink>
    void slide(int sample, bool biased, const Run& run, const Group& group, Sink& sink) {
        const int height = run.length + k_ - 1;
        const int steps = multiply_ ? 1 : windows_.steps();
        if constexpr (Sink::sifts) sink.begin(block_.first(), group, run, bases_.get());
        for (int first = 0; first < height; first += steps) {
            const Place at{sample, run, group, first, std::min(steps, height - first)};
            if (multiply_)
                multiply(at, sink);
            else
                windows_.advance(at);
            for (int step = std::max(0, k_ - 1 - first); step < at.count; ++step) {
                const int output = first + step - k_ + 1;
                const int pixel_row = around(run.query + output, question_.height);
                const T* lines[group_size];
                for (int g = 0; g < group.size; ++g)
                    lines[g] = biased ? lean(group, g, step, pixel_row) : windows_.tile(g, step);
                sink.row(block_, group, pixel_row, run.source + output, lines);
            }
        }
        if constexpr (Sink::ends) sink.end(block_, group);
    }

    template <class Sink> void multiply(const Place& at, Sink& sink) {
        T* windows[group_size] = {};
        for (int g = 0; g < at.group.size; ++g) windows[g] = windows_.tile(g, 0) + at.group.offset(g) * lanes;
        const int output = at.first - k_ + 1;
        const Sieve<T>* sieve = nullptr;
        if constexpr (Sink::sifts)
            if (output >= 0) sieve = sink.sieve(at.group, around(at.run.query + output, question_.height));
        products_.advance(noisy_, block_, at, bases_.get(), windows, sieve);
    }

    // A row of the tile with Π / ln 2.
    const T* lean(const Group& group, int g, int step, int pixel_row) {
        const T* bias = block_.bias(pixel_row);
        const std::size_t offset = std::size_t(group.offset(g)) * lanes;
        const T* from = windows_.tile(g, step) + offset;
        T* to = leaned_.get() + g * line_;
        for (int j = 0; j < group.runs[g].length; ++j) {
            const int column = (group.runs[g].query + j) % question_.width;
            V::fused(V::load(bias + column * lanes), V::all(T(1 / ln2)), V::load(from + j * lanes))
                .store(to + offset + j * lanes);
        }
        return to;
    }

    const Question<T>& question_;
    const T* noisy_;
    const int k_;
    const std::size_t line_;  // numbers of a row
    std::vector<Group> groups_;
    Block<T, Stored> block_;
    Products<T, Stored> products_;
    bool multiply_ = false;  // whether the noisy image is met by products
    Buffer<T> bases_;        // what a sink wants added to all log₂-weights of a displacement
    Windows<T, Stored> windows_;
    Buffer<T> leaned_;
};
