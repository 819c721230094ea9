// Patch distances of all pairs (u, v), displacement by displacement.
//
// For one displacement the distances are a box filter of one image of squared differences. The
// images of a block lie in the lanes of vectors, so all arithmetic is vector arithmetic. Nothing is
// subtracted from a sum, so a small distance keeps its digits beside large ones. Sums along a row come
// from registers (neighbours.hpp). Those of the rows above are added up directly, or, for larger
// windows, from a suffix of one block of k/2 rows, the sum of the next, and a prefix of the third (van
// Herk 1992, Gil & Werman 1993, with half a window as block): four additions whatever k. Where the
// best sources are kept they are always added up directly: in the order of the window, so that equal
// patches weigh the same to the last bit and are told apart by their places alone.
//
// In single precision, where windows are large, from every squared difference its mean for the patch
// that the noise was added to, C (1−ᾱ)/ᾱ, is taken: sums over windows that fit are then near zero, and
// rounded the less. Where there is noise enough, products take the place of differences (products.hpp).
#pragma once

#include "block.hpp"
#include "differences.hpp"
#include "exponential.hpp"
#include "neighbours.hpp"
#include "products.hpp"

// The working memory of one thread, and how a noisy image slides over a block of images.
template <class T, class Stored> class Sweep {
    using V = Pair<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;

  public:
    // `noisy` is what the question names, in the scale of what is stored.
    Sweep(const Question<T>& question, const T* noisy)
        : question_(question),
          noisy_(noisy),
          k_(question.window),
          stacked_(question.best == 0 && (question.channels == 1 || question.channels == 3) &&
                   k_ >= 5 && k_ <= largest_stacked),
          steps_(stacked_ ? k_ / 2 : 1),
          line_(std::size_t(question.width + group_size) * lanes),
          groups_(grouped(question.columns)),
          block_(question),
          products_(question),
          bases_(group_size * lanes),
          leaned_(group_size * line_),
          tile_(group_size * steps_ * line_),
          rows_(group_size * k_ * line_),
          spare_(2 * std::size_t(question.width + 2 * question.frame) * lanes) {
        bases_.fill(0);
        rows_.fill(0);
    }

    void take(int first) { block_.take(first); }
    bool take_bias(int sample) { return block_.take_bias(sample); }
    const Unit* values(int row, int column) const { return block_.values(row, column); }
    int first() const { return block_.first(); }
    int present() const { return block_.present(); }

    // Visits all pairs of one noisy image, telling `sink` of the log₂-weights of each row of pixels:
    // (ℓ + Π) / ln 2.
    template <int C, class Sink> void visit(int sample, bool biased, Sink& sink) {
        multiply_ = by_products<T, Stored>(question_, sample);
        if (multiply_) block_.take_norms(scale_of(sample), k_);
        for (const Group& group : groups_) {
            // Pixels that only some of the displacements reach are left at `never` by the others.
            tile_.fill(static_cast<T>(never));
            if (biased) leaned_.fill(static_cast<T>(never));
            for (const Run& row : question_.rows) slide<C>(sample, biased, row, group, sink);
        }
    }

  private:
    template <int C, class Sink>
    void slide(int sample, bool biased, const Run& run, const Group& group, Sink& sink) {
        const int height = run.length + k_ - 1;
        const int steps = multiply_ ? 1 : steps_;
        if constexpr (Sink::sifts) sink.begin(first(), group, run, bases_.get());
        for (int first = 0; first < height; first += steps) {
            const Place at{sample, run, group, first, std::min(steps, height - first)};
            if (multiply_)
                multiply<C>(at, sink);
            else
                advance<C>(at);
            for (int step = std::max(0, k_ - 1 - first); step < at.count; ++step) {
                const int output = first + step - k_ + 1;
                const int pixel_row = around(run.query + output, question_.height);
                const T* lines[group_size];
                for (int g = 0; g < group.size; ++g)
                    lines[g] = biased ? lean(group, g, step, pixel_row) : tile(g, step);
                sink.row(*this, group, pixel_row, run.source + output, lines);
            }
        }
    }

    // Leaves the ℓ / ln 2 of the windows that end in some rows in the tile. Small windows K have loops of
    // their own; K = 0 is any window.
    template <int C> void advance(const Place& at) {
        switch (C == 0 ? 0 : k_) {
            case 1: return advance_by<C, 1>(at);
            case 3: return advance_by<C, 3>(at);
            case 5: return advance_by<C, 5>(at);
            case 7: return advance_by<C, 7>(at);
            case 9: return advance_by<C, 9>(at);
            case 11: return advance_by<C, 11>(at);
            case 13: return advance_by<C, 13>(at);
            case 15: return advance_by<C, 15>(at);
            case 17: return advance_by<C, 17>(at);
            case 19: return advance_by<C, 19>(at);
            default: return advance_by<C, 0>(at);
        }
    }

    template <int C, int K> void advance_by(const Place& at) {
        if constexpr (K >= 5) {
            if (stacked_) return stack_up<C, K>(at);
        }
        add_up<C, K>(at);
    }

    template <int C, class Sink> void multiply(const Place& at, Sink& sink) {
        T* windows[group_size] = {};
        for (int g = 0; g < at.group.size; ++g) windows[g] = tile(g, 0) + at.group.offset(g) * lanes;
        const int output = at.first - k_ + 1;
        if constexpr (Sink::sifts) {
            if (output >= 0) {
                const auto& sieve = sink.sieve(at.group, around(at.run.query + output, question_.height));
                return products_.template advance<C>(noisy_, block_, at, bases_.get(), windows, sieve);
            }
        }
        products_.template advance<C>(noisy_, block_, at, bases_.get(), windows, all_);
    }

    template <int C, int K> void stack_up(const Place& at) {
        for (int step = 0; step < at.count; ++step) {
            T* out[group_size] = {};
            for (int g = 0; g < at.group.size; ++g)
                out[g] = tile(g, step) + at.group.offset(g) * lanes;
            along<C, K, true>(at, step, [=](int g, int place, V sum) { sum.store(out[g] + place); });
        }
        for (int g = 0; g < at.group.size; ++g) stack<K / 2>(at, g);
    }

    // Adds the sums along a row to those along the rows above.
    template <int C, int K> void add_up(const Place& at) {
        const int row = at.first;
        const T scale = scale_of(at.sample);
        V bases[group_size];
        for (int g = 0; g < group_size; ++g) bases[g] = V::load(bases_.get() + g * lanes);
        T *here[group_size] = {}, *out[group_size] = {};
        const T* above[group_size][K > 0 ? K : 1] = {};
        for (int g = 0; g < at.group.size; ++g) {
            here[g] = ring(g, row);
            out[g] = tile(g, 0) + at.group.offset(g) * lanes;
            for (int back = 1; back < K; ++back) above[g][back] = ring(g, row - back);
        }
        if (row < k_ - 1)
            return along<C, K>(at, 0, [=](int g, int place, V sum) { sum.store(here[g] + place); });
        along<C, K>(at, 0, [=](int g, int place, V sum) {
            sum.store(here[g] + place);
            for (int back = 1; back < K; back += 2)
                sum = sum + (V::load(above[g][back] + place) + V::load(above[g][back + 1] + place));
            for (int back = 1; K == 0 && back < k_; ++back)
                sum = sum + V::load(ring(g, row - back) + place);
            V::fused(sum, V::all(scale), bases[g]).store(out[g] + place);
        });
    }

    // Turns the sums along each of R rows in the tile into those over windows of 2R + 1 rows: the
    // rest of the block before last, the block between, and the beginning of this one.
    template <int R> APART void stack(const Place& at, int g) {
        using One = Lanes<T>;
        const One scale = One::all(scale_of(at.sample));
        const T* base = bases_.get() + g * lanes;
        const int block = at.first / R;
        const std::size_t offset = std::size_t(at.group.offset(g)) * lanes;
        const std::size_t end = std::size_t(at.group.runs[g].length) * lanes;
        T* sums[R];
        T* rests[R];
        for (int r = 0; r < R; ++r) {
            sums[r] = tile(g, r) + offset;
            rests[r] = ring(g, (block % 2) * R + r);
        }
        const T* between = ring(g, ((block + 1) % 2) * R);
        for (std::size_t place = 0; place < end; place += One::count) {
            One values[R];
            for (int r = 0; r < R; ++r) values[r] = One::load(sums[r] + place);
            const One whole = One::load(between + place);
            One beginning = values[0];
            for (int r = 0; r < R; ++r) {
                if (r > 0) beginning = beginning + values[r];
                const One sum = (One::load(rests[r] + place) + whole) + beginning;
                One::fused(sum, scale, One::load(base + place % lanes)).store(sums[r] + place);
            }
            One rest = values[R - 1];
            rest.store(rests[R - 1] + place);
            for (int r = R - 2; r >= 0; --r) {
                rest = values[r] + rest;
                rest.store(rests[r] + place);
            }
        }
    }

    // A row of the tile with Π / ln 2.
    const T* lean(const Group& group, int g, int step, int pixel_row) {
        const T* bias = block_.bias(pixel_row);
        const std::size_t offset = std::size_t(group.offset(g)) * lanes;
        const T* from = tile(g, step) + offset;
        T* to = leaned_.get() + g * line_;
        for (int j = 0; j < group.runs[g].length; ++j) {
            const int column = (group.runs[g].query + j) % question_.width;
            V::fused(V::load(bias + column * lanes), V::all(T(1 / ln2)), V::load(from + j * lanes))
                .store(to + offset + j * lanes);
        }
        return to;
    }

    // Calls take(g, place, sum) with the sums over k neighbours of one row of squared differences,
    // where `place` says where in a line they belong.
    template <int C, int K, bool Blocks = false, class Take>
    void along(const Place& at, int step, const Take& take) {
        if constexpr (K == 0 || (Blocks && K > 5)) {
            for (int g = 0; g < at.group.size; ++g) along_one<C, K / 2>(at, step, g, take);
        } else {
            // Sums over more neighbours leave no registers for another displacement.
            if (K <= 5 && at.group.alike) return along_some<C, K, 2>(at, step, 0, take);
            for (int g = 0; g < at.group.size; ++g) along_some<C, K, 1>(at, step, g, take);
        }
    }

    // The same for G displacements from the g-th on, which draw from the same positions.
    template <int C, int K, int G, class Take>
    APART void along_some(const Place& at, int step, int g, const Take& given) {
        const Take take = given;  // in registers, which no store can change
        const Difference<T, Stored, C, G> difference(question_, noisy_, block_, at, step, g);
        Neighbours<V, K> neighbours[G];
        V squares[G];
        const int length = at.group.runs[g].length;
        for (int j = 0; j < K - 1; ++j) {
            difference(j, squares);
            for (int other = 0; other < G; ++other) neighbours[other].next(squares[other]);
        }
        for (int j = 0; j < length; ++j) {
            difference(j + K - 1, squares);
            for (int other = 0; other < G; ++other)
                take(g + other, j * lanes, neighbours[other].next(squares[other]));
        }
    }

    // The same for one displacement: windows of 2R + 1 from blocks of R as in `stack`, or any.
    template <int C, int R, class Take>
    APART void along_one(const Place& at, int step, int g, const Take& given) {
        const Take take = given;
        const Difference<T, Stored, C, 1> difference(question_, noisy_, block_, at, step, g);
        const int length = at.group.runs[g].length;
        const auto square = [=](int j) {
            V found;
            difference(j, &found);
            return found;
        };
        const auto put = [=](int j, V sum) { take(g, j * lanes, sum); };
        if constexpr (R > 0)
            sum_in_blocks<V, R>(length, square, put);
        else
            sum_by_powers<V>(length, k_, spare_.get(), square, put);
    }

    // ℓ / ln 2 over the distance in the scale of what is stored.
    T scale_of(int sample) const {
        const double square = double(Stored::scale) * Stored::scale;
        return static_cast<T>(question_.scale[sample] / (square * ln2));
    }
    // The row of the tile of one displacement; its first pixel is the first of the group.
    T* tile(int g, int step) { return tile_.get() + (std::size_t(g) * steps_ + step) * line_; }
    // Where sums along a row are kept, for k rows.
    T* ring(int g, int row) { return rows_.get() + (std::size_t(g) * k_ + (row + k_) % k_) * line_; }

    static constexpr int largest_stacked = 19;
    const Question<T>& question_;
    const T* noisy_;
    const int k_;
    const bool stacked_;
    const int steps_;         // rows that are taken at once
    const std::size_t line_;  // numbers of a row
    std::vector<Group> groups_;
    Block<T, Stored> block_;
    Products<T, Stored> products_;
    NoSieve all_;
    bool multiply_ = false;  // whether the noisy image is met by products
    Buffer<T> bases_;         // what a sink wants added to all log₂-weights of a displacement
    Buffer<T> leaned_, tile_, rows_, spare_;
};
