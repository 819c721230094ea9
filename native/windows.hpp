// Squared differences summed over windows, as `Sweep` slides over a block.
//
// Nothing is subtracted from a sum, so a small distance keeps its digits beside large ones. Sums along a row
// come from registers (neighbours.hpp). Those of the rows above are added up directly, or, for larger
// windows, from a suffix of one block of k/2 rows, the sum of the next, and a prefix of the third (van
// Herk 1992, Gil & Werman 1993, with half a window as block): four additions whatever k. Where the
// best sources are kept they are always added up directly: in the order of the window, so that equal
// patches weigh the same to the last bit and are ordered by their places alone.
//
// In single precision, where windows are large, from every squared difference its mean for the patch
// that the noise was added to, C (1−ᾱ)/ᾱ, is taken: sums over windows that fit are then near zero, and
// rounded the less.
#pragma once

#include "block.hpp"
#include "differences.hpp"
#include "neighbours.hpp"

template <class T, class Stored> class Windows {
    using V = Pair<T>;
    static constexpr int lanes = V::count;

  public:
    // What is in `bases` is added to the log₂-weights of each displacement.
    Windows(const Question<T>& question, const T* noisy, const Block<T, Stored>& block, const T* bases)
        : question_(question),
          noisy_(noisy),
          block_(block),
          bases_(bases),
          k_(question.window),
          stacked_(question.best == 0 && (question.channels == 1 || question.channels == 3) &&
                   k_ >= 5 && k_ <= largest_stacked),
          steps_(stacked_ ? k_ / 2 : 1),
          line_(std::size_t(question.width + group_size) * lanes),
          framed_line_(std::size_t(question.width + 2 * question.frame) * lanes),
          tile_(group_size * steps_ * line_),
          rows_(group_size * k_ * line_),
          spare_(group_size * framed_line_),
          above_(k_) {
        rows_.fill(0);
    }

    int steps() const { return steps_; }  // rows that are taken at once
    // The row of the tile of one displacement; its first pixel is the first of the group.
    T* tile(int g, int step) { return tile_.get() + (std::size_t(g) * steps_ + step) * line_; }
    // Leaves pixels that only some of the displacements of a group reach at `never`.
    void clear() { tile_.fill(static_cast<T>(never)); }

    // Leaves the ℓ / ln 2 of the windows that end in some rows in the tile. Images of one channel or three
    // have loops of their own, C = 0 is any number.
    APART void advance(const Place& at) {
        if (question_.channels == 1) return advance_by<1>(at);
        if (question_.channels == 3) return advance_by<3>(at);
        add_up<0>(at);
    }

  private:
    // Small windows K have loops of their own, too.
    template <int C> void advance_by(const Place& at) {
        if (k_ == 1) return add_up_at_once<C, 1>(at);
        if (k_ == 3) return add_up_at_once<C, 3>(at);
        if (!stacked_) return add_up<C>(at);
        switch (k_) {
            case 5: return stack_up<C, 5>(at);
            case 7: return stack_up<C, 7>(at);
            case 9: return stack_up<C, 9>(at);
            case 11: return stack_up<C, 11>(at);
            case 13: return stack_up<C, 13>(at);
            case 15: return stack_up<C, 15>(at);
            case 17: return stack_up<C, 17>(at);
            default: return stack_up<C, 19>(at);
        }
    }

    template <int C, int K> void stack_up(const Place& at) {
        for (int step = 0; step < at.count; ++step) {
            const auto out = [&](int g) { return tile(g, step) + at.group.offset(g) * lanes; };
            if constexpr (K == 5)
                along<C, K>(at, step, [&](int g, int count) {
                    T* const to[] = {out(g), out(g + count - 1)};
                    return [=](int other, int place, V sum) { sum.store(to[other] + place); };
                });
            else
                for (int g = 0; g < at.group.size; ++g)
                    along_one<C, K / 2>(at, step, g, [to = out(g)](int place, V sum) { sum.store(to + place); });
        }
        for (int g = 0; g < at.group.size; ++g) stack<K / 2>(at, g);
    }

    // Adds the sums along a row to those along the rows above, from memory to memory.
    template <int C> void add_up(const Place& at) {
        const int row = at.first;
        for (int g = 0; g < at.group.size; g += at.group.alike(g)) {
            if (at.group.alike(g) == 2)
                squares<C, 2>(at, g);
            else
                squares<C, 1>(at, g);
        }
        for (int g = 0; g < at.group.size; ++g) {
            sum_neighbours(at.group.runs[g].length, k_, spare(g), ring(g, row));
            if (row >= k_ - 1) add_rows(at, g);
        }
    }

    // Leaves the squared differences of a row, at G displacements from the g-th on, in the spare lines.
    template <int C, int G> APART void squares(const Place& at, int g) {
        const Difference<T, Stored, C, G> difference(question_, noisy_, block_, at, 0, g);
        const int end = at.group.runs[g].length + k_ - 1;
        T* to[G];
        for (int other = 0; other < G; ++other) to[other] = spare(g + other);
        for (int j = 0; j < end; ++j) {
            V squares[G];
            difference(j, squares);
            for (int other = 0; other < G; ++other) squares[other].store(to[other] + j * lanes);
        }
    }

    // Sums along the last k rows.
    APART void add_rows(const Place& at, int g) {
        const V scale = V::all(log2_scale<T, Stored>(question_, at.sample)), base = V::load(bases_ + g * lanes);
        T* out = tile(g, 0) + at.group.offset(g) * lanes;
        const std::size_t end = std::size_t(at.group.runs[g].length) * lanes;
        for (int back = 0; back < k_; ++back) above_[back] = ring(g, at.first - back);
        const T* const* above = above_.data();
        for (std::size_t place = 0; place < end; place += lanes) {
            V sum = V::load(above[0] + place);
            for (int back = 1; back < k_; back += 2)
                sum = sum + (V::load(above[back] + place) + V::load(above[back + 1] + place));
            V::fused(sum, scale, base).store(out + place);
        }
    }

    // The same in one go, for windows so small that memory would be what costs.
    template <int C, int K> void add_up_at_once(const Place& at) {
        const int row = at.first;
        const T scale = log2_scale<T, Stored>(question_, at.sample);
        if (row < K - 1)
            return along<C, K>(at, 0, [&](int g, int count) {
                T* const here[] = {ring(g, row), ring(g + count - 1, row)};
                return [=](int other, int place, V sum) { sum.store(here[other] + place); };
            });
        along<C, K>(at, 0, [&](int g, int count) {
            V bases[2];
            T *here[2], *out[2];
            const T* above[2][K] = {};
            for (int other = 0; other < 2; ++other) {
                const int member = std::min(g + other, g + count - 1);
                bases[other] = V::load(bases_ + member * lanes);
                here[other] = ring(member, row);
                out[other] = tile(member, 0) + at.group.offset(member) * lanes;
                for (int back = 1; back < K; ++back) above[other][back] = ring(member, row - back);
            }
            return [=](int other, int place, V sum) {
                sum.store(here[other] + place);
                for (int back = 1; back < K; back += 2)
                    sum = sum + (V::load(above[other][back] + place) + V::load(above[other][back + 1] + place));
                V::fused(sum, V::all(scale), bases[other]).store(out[other] + place);
            };
        });
    }

    // Turns the sums along each of R rows in the tile into those over windows of 2R + 1 rows: the
    // rest of the block before last, the block between, and the beginning of this one.
    template <int R> APART void stack(const Place& at, int g) {
        using One = Lanes<T>;
        const One scale = One::all(log2_scale<T, Stored>(question_, at.sample));
        const T* base = bases_ + g * lanes;
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

    // Calls take(other, place, sum) with the sums over k neighbours of one row of squared differences, where
    // `place` is their place in a line; takes(g, count) returns it for `count` displacements from the g-th on.
    template <int C, int K, class Takes> void along(const Place& at, int step, const Takes& takes) {
        for (int g = 0, count; g < at.group.size; g += count) {
            count = at.group.alike(g);
            if (count == 2)
                along_some<C, K, 2>(at, step, g, takes(g, count));
            else
                along_some<C, K, 1>(at, step, g, takes(g, count));
        }
    }

    // Calls it for G displacements from the g-th on, which draw from the same positions.
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
                take(other, j * lanes, neighbours[other].next(squares[other]));
        }
    }

    // The same for one displacement, and windows of 2R + 1 from blocks of R as in `stack`: sums over so many
    // neighbours leave no registers for another.
    template <int C, int R, class Take>
    APART void along_one(const Place& at, int step, int g, const Take& given) {
        const Take take = given;
        const Difference<T, Stored, C, 1> difference(question_, noisy_, block_, at, step, g);
        const auto square = [=](int j) {
            V found;
            difference(j, &found);
            return found;
        };
        sum_in_blocks<V, R>(at.group.runs[g].length, square, [=](int j, V sum) { take(j * lanes, sum); });
    }

    // Where sums along a row are kept, for k rows.
    T* ring(int g, int row) { return rows_.get() + (std::size_t(g) * k_ + (row + k_) % k_) * line_; }
    // A line for squared differences.
    T* spare(int g) { return spare_.get() + g * framed_line_; }

    static constexpr int largest_stacked = 19;
    const Question<T>& question_;
    const T* noisy_;
    const Block<T, Stored>& block_;
    const T* bases_;
    const int k_;
    const bool stacked_;
    const int steps_;
    const std::size_t line_, framed_line_;  // numbers of a row, and of one with its margins
    Buffer<T> tile_, rows_, spare_;
    std::vector<const T*> above_;  // the last k rows of a displacement
};
