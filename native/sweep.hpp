// Patch distances of all pairs (u, v), displacement by displacement.
//
// For one displacement the distances are a box filter of one image of squared differences. The
// images of a block lie in the lanes of a vector, so all arithmetic is vector arithmetic. Sums
// over a window are a suffix sum of one block of k values plus a prefix sum of the next (van Herk
// 1992, Gil & Werman 1993): three additions whatever k, and no subtraction, so a small distance
// keeps its digits beside large ones. Where the best sources are kept, the sums are instead taken in
// the order of the window, so that equal patches weigh the same to the last bit and are told apart by
// their places alone.
#pragma once

#include "block.hpp"

// The sum of the last K values given, from sums of two and of four of them.
template <class V, int K> class Neighbours {
  public:
    V next(V value) {
        const V two = last_ + value;
        const V four = twos_[1] + two;
        V sum = two;
        if (K == 3) sum = twos_[0] + value;
        if (K == 5) sum = fours_[0] + value;
        if (K == 7) sum = (fours_[2] + twos_[0]) + value;
        if (K == 9) sum = (fours_[4] + fours_[0]) + value;
        for (int back = 4; back > 0; --back) fours_[back] = fours_[back - 1];
        fours_[0] = four;
        twos_[1] = twos_[0];
        twos_[0] = two;
        last_ = value;
        return sum;
    }

  private:
    V last_ = V::all(0), twos_[2] = {V::all(0), V::all(0)};
    V fours_[5] = {V::all(0), V::all(0), V::all(0), V::all(0), V::all(0)};
};

// The working memory of one thread, and how a noisy image slides over a block of images.
template <class T> class Sweep {
    using V = Lanes<T>;
    static constexpr int lanes = V::count;

  public:
    explicit Sweep(const Question<T>& question)
        : question_(question),
          k_(question.window),
          in_order_(question.best > 0),
          groups_(grouped(question.columns, question.width)),
          block_(question),
          row_(std::size_t(question.width + 2 * question.frame) * lanes),
          prefix_(std::size_t(question.width + 2 * question.frame) * lanes),
          ring_(std::size_t(k_) * group_size * question.width * lanes),
          column_(std::size_t(group_size) * question.width * lanes),
          tile_(std::size_t(group_size) * 2 * question.width * lanes) {}

    void take(int first) { block_.take(first); }
    bool take_bias(int sample) { return block_.take_bias(sample); }
    const T* values(int row, int column) const { return block_.values(row, column); }
    int first() const { return block_.first(); }
    int present() const { return block_.present(); }

    // Visits all pairs of one noisy image, telling `sink` of the ℓ + Π of each row of pixels.
    template <int C, class Sink> void visit(int sample, bool biased, Sink& sink) {
        if (C != 0 && k_ == 3)
            visit_windows<C, 3>(sample, biased, sink);
        else if (C != 0 && k_ == 5)
            visit_windows<C, 5>(sample, biased, sink);
        else if (C != 0 && k_ == 7)
            visit_windows<C, 7>(sample, biased, sink);
        else if (C != 0 && k_ == 9)
            visit_windows<C, 9>(sample, biased, sink);
        else
            visit_windows<C, 0>(sample, biased, sink);
    }

  private:
    // Small windows K have loops of their own; K = 0 is any window.
    template <int C, int K, class Sink> void visit_windows(int sample, bool biased, Sink& sink) {
        for (const Group& group : groups_) {
            // Pixels that only some of the displacements reach are left at `never` by the others.
            if (group.size > 1) tile_.fill(static_cast<T>(never));
            for (const Run& row : question_.rows) slide<C, K>(sample, biased, row, group, sink);
        }
    }

    template <int C, int K, class Sink>
    void slide(int sample, bool biased, const Run& row, const Group& group, Sink& sink) {
        const int height = row.length + k_ - 1;
        for (int i = 0; i < height; ++i) {
            const int output = i - k_ + 1;
            const int pixel_row = (row.query + std::max(output, 0)) % question_.height;
            for (int g = 0; g < group.size; ++g) {
                const Run& run = group.runs[g];
                const Line line{sample, i, g, output >= 0, biased ? pixel_row : -1};
                T* tile = tile_.get() + tile_place(group, g);
                if (K == 0 && in_order_) {
                    down_in_order(line, run, tile, difference<C>(sample, row, run, i));
                } else if constexpr (K == 0) {
                    windows(difference<C>(sample, row, run, i), run.length);
                    const T* sums = row_.get();
                    down(line, run, tile, [=](int j) { return V::load(sums + j * lanes); });
                } else {
                    down_few<K>(line, run, tile, difference<C>(sample, row, run, i));
                }
            }
            if (K == 0 && !in_order_ && i % k_ == k_ - 1) turn(group);
            if (output >= 0) sink.row(*this, group, pixel_row, row.source + output, tile_.get());
        }
    }

    // One row of squared differences before one noisy image at one displacement.
    struct Line {
        int sample, row, member;
        bool ends;      // whether windows end in it
        int pixel_row;  // of these windows, where there is a bias; else −1
    };

    std::size_t tile_place(const Group& group, int g) const {
        return (std::size_t(g) * 2 * question_.width + group.runs[g].query - group.first) * lanes;
    }

    // Returns a function j → Σ_c (φ_c/√ᾱ − x_c)² at one place of a row.
    template <int C> auto difference(int sample, const Run& row, const Run& column, int i) const {
        const int channels = C ? C : question_.channels;
        const std::size_t plane = std::size_t(question_.noisy_height) * question_.noisy_width;
        const T* noisy = question_.noisy + sample * channels * plane +
                         std::size_t(row.query + i) * question_.noisy_width + column.query;
        const T* clean = block_.framed(row.source + i, column.source);
        return [=](int j) {
            const T* here = clean + std::size_t(j) * channels * lanes;
            V sum = V::all(noisy[j]) - V::load(here);
            sum = sum * sum;
            for (int c = 1; c < channels; ++c) {
                const V one = V::all(noisy[c * plane + j]) - V::load(here + c * lanes);
                sum = V::fused(one, one, sum);
            }
            return sum;
        };
    }

    // Leaves sums over k neighbours along a row in `row_`.
    template <class Difference> void windows(const Difference& difference, int length) {
        T* out = row_.get();
        const int width = length + k_ - 1;
        T* prefix = prefix_.get();
        for (int start = 0; start < width; start += k_) {
            const int stop = std::min(start + k_, width);
            V sum = difference(start);
            sum.store(out + start * lanes);
            sum.store(prefix + start * lanes);
            for (int j = start + 1; j < stop; ++j) {
                const V one = difference(j);
                one.store(out + j * lanes);
                sum = sum + one;
                sum.store(prefix + j * lanes);
            }
            if (stop - start < k_) continue;
            // The block is whole: sums from each place to its end, and the windows that end here.
            V suffix = V::load(out + (stop - 1) * lanes);
            for (int j = stop - 2; j > start; --j) {
                suffix = suffix + V::load(out + j * lanes);
                suffix.store(out + j * lanes);
            }
            sum.store(out + start * lanes);
        }
        for (int start = 0; start < length; start += k_) {
            const int stop = std::min(start + k_, length);
            for (int j = start + 1; j < stop; ++j)
                (V::load(out + j * lanes) + V::load(prefix + (j + k_ - 1) * lanes))
                    .store(out + j * lanes);
        }
    }

    // Adds a row's window sums to those of the rows above: a suffix of the block of rows before plus
    // a prefix of this one.
    template <class Sums>
    void down(const Line& line, const Run& run, T* tile, const Sums& sums) {
        const int place = line.row % k_;
        T* column = column_.get() + std::size_t(line.member) * question_.width * lanes;
        T* here = ring(place, line.member);
        const T* suffix = ring((place + 1) % k_, line.member);
        const bool whole = place == k_ - 1;
        const Weigher weigh(*this, line, run, tile);
        for (int j = 0; j < run.length; ++j) {
            V sum = sums(j);
            sum.store(here + j * lanes);
            if (place) sum = V::load(column + j * lanes) + sum;
            sum.store(column + j * lanes);
            if (!line.ends) continue;
            weigh(j, whole ? sum : sum + V::load(suffix + j * lanes));
        }
    }

    // The same for small K: sums along the row come from registers, and those of the rows above are
    // added up directly.
    template <int K, class Difference>
    void down_few(const Line& line, const Run& run, T* tile, const Difference& difference) {
        const T* above[K];
        for (int back = 1; back < K; ++back)
            above[back] = ring((line.row + K - back) % K, line.member);
        T* here = ring(line.row % K, line.member);
        const Weigher weigh(*this, line, run, tile);
        Neighbours<V, K> neighbours;
        for (int j = 0; j < K - 1; ++j) neighbours.next(difference(j));
        for (int j = 0; j < run.length; ++j) {
            V sum = neighbours.next(difference(j + K - 1));
            sum.store(here + j * lanes);
            if (!line.ends) continue;
            for (int back = 1; back < K; back += 2)
                sum = sum + (V::load(above[back] + j * lanes) + V::load(above[back + 1] + j * lanes));
            weigh(j, sum);
        }
    }

    // The same for any K, adding up directly in an order that no displacement changes.
    template <class Difference>
    void down_in_order(const Line& line, const Run& run, T* tile, const Difference& difference) {
        T* out = row_.get();
        for (int j = 0; j < run.length + k_ - 1; ++j) difference(j).store(out + j * lanes);
        T* here = ring(line.row % k_, line.member);
        const Weigher weigh(*this, line, run, tile);
        for (int j = 0; j < run.length; ++j) {
            V sum = V::load(out + j * lanes);
            for (int place = 1; place < k_; ++place) sum = sum + V::load(out + (j + place) * lanes);
            sum.store(here + j * lanes);
            if (!line.ends) continue;
            for (int back = 1; back < k_; ++back)
                sum = sum + V::load(ring((line.row + k_ - back) % k_, line.member) + j * lanes);
            weigh(j, sum);
        }
    }

    // Writes ℓ + Π of one pixel, given the distance of its windows.
    class Weigher {
      public:
        Weigher(const Sweep& sweep, const Line& line, const Run& run, T* tile)
            : scale_(V::all(static_cast<T>(sweep.question_.scale[line.sample]))),
              width_(sweep.question_.width),
              first_(run.query % sweep.question_.width),
              bias_(line.pixel_row < 0 ? nullptr : sweep.block_.bias(line.pixel_row)),
              tile_(tile) {}

        void operator()(int j, V distance) const {
            V weight = distance * scale_;
            if (bias_) {
                const int u = first_ + j < width_ ? first_ + j : first_ + j - width_;
                weight = weight + V::load(bias_ + std::size_t(u) * lanes);
            }
            weight.store(tile_ + std::size_t(j) * lanes);
        }

      private:
        V scale_;
        int width_, first_;
        const T* bias_;
        T* tile_;
    };

    // Turns the rows of a whole block into sums from each to the last.
    void turn(const Group& group) {
        for (int g = 0; g < group.size; ++g) {
            const int length = group.runs[g].length;
            for (int place = k_ - 2; place > 0; --place) {
                T* here = ring(place, g);
                const T* below = ring(place + 1, g);
                for (int j = 0; j < length * lanes; j += lanes)
                    (V::load(here + j) + V::load(below + j)).store(here + j);
            }
        }
    }

    T* ring(int place, int g) {
        return ring_.get() + (std::size_t(place) * group_size + g) * question_.width * lanes;
    }

    const Question<T>& question_;
    int k_;
    bool in_order_;
    std::vector<Group> groups_;
    Block<T> block_;
    Buffer<T> row_, prefix_, ring_, column_, tile_;
};
