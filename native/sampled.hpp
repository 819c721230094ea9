// The posterior of every pixel from some of the pairs, drawn so that all sums keep their expectation
// (theory §2.7; threshold sampling, Duffield, Lund & Thorup 2005).
//
// A pair of weight w is drawn with probability p = min(1, w/T), where T is its pixel's threshold, and then
// counts 1/p times. In logarithms: it is drawn where log₂ w + e > log₂ T, with e = −log₂ u and u even in
// (0, 1]. Each image has one e for every displacement, which the sweep adds to all its log-weights. So those
// of one pixel are independent of each other, which is what its bound needs; different pixels share theirs.
#pragma once

#include "reader.hpp"

template <class T, class Stored, int C> class SampledSink final : public Reader<T, Stored> {
    using V = Lanes<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;
    static constexpr int slack = 7;

  public:
    static constexpr bool sifts = true, ends = false;
    using Reader<T, Stored>::together;

    SampledSink(const Question<T>& question, int sample, const std::vector<double>& lifted)
        : question_(question),
          channels_(C ? C : question.channels),
          fields_(1 + 2 * channels_),
          groups_(int(grouped(question.columns, together, question.width).size())),
          reference_(lifted.size()),
          threshold_(2 * lifted.size()),
          sums_(lifted.size() * fields_ * lanes),
          drawn_count_(std::uint32_t(question.height * groups_ * together * 2 * lanes)),
          apart_(drawn_count_),
          words_((question.width + 63) / 64),
          some_(together * words_) {
        const double* given = question.threshold + std::size_t(sample) * lifted.size();
        // Every row twice, for columns go on with the first after the last.
        for (std::size_t i = 0, width = question.width; i < 2 * lifted.size(); ++i) {
            const std::size_t pixel = i / (2 * width) * width + i % width;
            const double bits = (given[pixel] - lifted[pixel]) / ln2;
            threshold_.get()[i] = static_cast<T>(std::max(never, std::min(bits, -never)));
        }
        reference_.fill(static_cast<T>(never));
        sums_.fill(0);
    }

    // Sets what a sweep adds to all log₂-weights as a group slides along rows of a block's images: e. No two
    // rows of sources that a pixel meets are equally far from it, up or down, modulo the height.
    void begin(int first_image, const Group& group, const Run& rows, T* bases) {
        if (first_image != drawn_) draw(first_image);
        const int down = (rows.query - rows.source) % question_.height;
        const int turn = down < 0 ? down + question_.height : down;
        apart_now_ = apart_.get() + (std::size_t(turn) * groups_ + group.number) * together * 2 * lanes;
        std::copy(apart_now_, apart_now_ + together * 2 * lanes, bases);
    }

    // A sieve for a row of pixels.
    Sieve<T>* sieve(const Group& group, int pixel_row) {
        for (int g = 0; g < group.size; ++g) {
            first_[g] = around(group.runs[g].query, question_.width);
            sieve_.thresholds[g] = threshold_.get() + 2 * std::size_t(pixel_row) * question_.width + first_[g];
            sieve_.drawn[g] = some_.data() + g * words_;
        }
        sifted_ = true;
        return &sieve_;
    }

    void row(const Block<T, Stored>& block, const Group& group, int pixel_row, int source_row,
             const T* const* lines) {
        const bool sifted = sifted_;
        if (!sifted) sieve(group, pixel_row);
        sifted_ = false;
        for (int g = 0; g < group.size; ++g) {
            const Run& run = group.runs[g];
            const T* line = lines[g] + std::size_t(group.offset(g)) * 2 * lanes;
            if (!sifted) sift(g, run.length, line);
            add(g, run.length, pixel_row * question_.width, line, block.values(source_row, run.source));
        }
    }

    void take(Sweep<T, Stored>& sweep, int sample, bool biased) override {
        sweep.visit(sample, biased, *this);
    }

    // log Σ 2^L, and the means of x and of x², channel by channel.
    double read(int pixel, double* mean, double*, const Source**) const override {
        const T* sums = sums_.get() + std::size_t(pixel) * fields_ * lanes;
        const double total = across<T>(sums), scale = Stored::scale;
        for (int c = 0; c < channels_; ++c) {
            const double first = across<T>(sums + (1 + c) * lanes);
            const double second = across<T>(sums + (1 + channels_ + c) * lanes);
            mean[c] = total > 0 ? first / (total * scale) : 0;
            mean[channels_ + c] = total > 0 ? second / (total * scale * scale) : 0;
        }
        return total > 0 ? ln2 * reference_.get()[pixel] + std::log(total) : -HUGE_VAL;
    }

  private:
    APART void sift(int g, int length, const T* line) {
        Flags<T, 1> flags = sieve_.template from<1>(g);
        for (int first = 0; first < length; first += 64) {
            const int end = std::min(first + 64, length);
            for (int j = first; j < end; ++j)
                flags(j, {Pair<T>::load(line + std::size_t(j) * 2 * lanes), {}});
            flags.write(first);
        }
    }

    // Adds the pairs drawn of one row of one displacement.
    APART void add(int g, int length, int first_pixel, const T* line, const Unit* values) {
        const int width = question_.width, first_column = first_[g];
        const Pair<T> apart = Pair<T>::load(apart_now_ + g * 2 * lanes);
        each_drawn(sieve_.drawn[g], length, [&](int j) {
            const Pair<T> raised = Pair<T>::load(line + std::size_t(j) * 2 * lanes);
            const V threshold = V::all(sieve_.thresholds[g][j]);
            const int column = first_column + j < width ? first_column + j : first_column + j - width;
            const int pixel = first_pixel + column;
            Pair<T> weight{counted(raised.first, apart.first, threshold),
                           counted(raised.second, apart.second, threshold)};
            const V most = weight.largest_of_both();
            if (V::any_above(most, V::all(reference_.get()[pixel] + T(slack)))) raise(pixel, most.largest());
            const V base = V::all(reference_.get()[pixel]);
            weight = {power_of_two<T>(weight.first - base), power_of_two<T>(weight.second - base)};
            T* sum = sums_.get() + std::size_t(pixel) * fields_ * lanes;
            (V::load(sum) + (weight.first + weight.second)).store(sum);
            const int channels = C ? C : channels_;
            for (int c = 0; c < channels; ++c) {
                const Pair<T> value = Stored::get(values + (std::ptrdiff_t(j) * channels + c) * Stored::size);
                const Pair<T> term = weight * value;
                T *first = sum + (1 + c) * lanes, *second = first + channels * lanes;
                (V::load(first) + (term.first + term.second)).store(first);
                V::fused(term.first, value.first, V::fused(term.second, value.second, V::load(second)))
                    .store(second);
            }
        });
    }

    // Calls take(j) for the places that are flagged.
    template <class Take> IN_PLACE static void each_drawn(const std::uint64_t* drawn, int length, const Take& take) {
        for (int first = 0; first < length; first += 64)
            for (std::uint64_t flags = drawn[first / 64]; flags != 0; flags &= flags - 1)
                take(first + __builtin_ctzll(flags));
    }

    // log₂ of what pairs count, of log₂ w + e: w/p where they are drawn.
    IN_PLACE static V counted(V raised, V apart, V threshold) {
        return V::choose_above(raised, threshold, V::larger(raised - apart, threshold),
                               V::all(T(2 * never)));
    }

    // Moves the reference of a pixel up to the largest log-weight seen.
    APART void raise(int pixel, T largest) {
        T& reference = reference_.get()[pixel];
        const bool fresh = reference <= static_cast<T>(never / 2);
        const V factor = V::all(fresh ? T(0) : static_cast<T>(std::exp2(double(reference) - largest)));
        T* sums = sums_.get() + std::size_t(pixel) * fields_ * lanes;
        for (int field = 0; field < fields_; ++field)
            (V::load(sums + field * lanes) * factor).store(sums + field * lanes);
        reference = largest;
    }

    // Draws the e of a block: one for every displacement of every image.
    APART void draw(int first_image) {
        drawn_ = first_image;
        const std::uint64_t state = mixed(question_.seed ^ mixed(question_.index[first_image]));
        const std::uint32_t key = std::uint32_t(state), other = std::uint32_t(state >> 32);
        T* apart = apart_.get();
        for (std::uint32_t i = 0; i < drawn_count_; ++i) apart[i] = below_log2(hashed(hashed(i ^ key) + other));
    }

    // −log₂ of (bits + 1/2) / 2³² to single precision, without branches; p below 2⁻³³ counts for nothing.
    IN_PLACE static T below_log2(std::uint32_t bits) {
        const float even = float(bits >> 1) + 0.25f;
        std::uint32_t parts;
        __builtin_memcpy(&parts, &even, sizeof parts);
        const std::uint32_t fraction = (parts & 0x7fffffu) | 0x3f800000u;
        float m;  // from 1 to 2, of which log₂ m = 1/2 + (2 artanh t) / ln 2
        __builtin_memcpy(&m, &fraction, sizeof m);
        const float t = (m - 1.41421356f) / (m + 1.41421356f), square = t * t;
        const float series = 1 + square * (1 / 3.0f + square * (1 / 5.0f + square * (1 / 7.0f)));
        return static_cast<T>(float(127 + 31) - 0.5f - float(int(parts >> 23)) - 2.88539008f * t * series);
    }

    // A mixer of 32 bits, of two multiplications, as C. Wellons (2018) found them to be the least biased.
    IN_PLACE static std::uint32_t hashed(std::uint32_t z) {
        z = (z ^ (z >> 16)) * 0x7feb352du;
        z = (z ^ (z >> 15)) * 0x846ca68bu;
        return z ^ (z >> 16);
    }

    // SplitMix64 (Steele, Lea & Flood 2014).
    static std::uint64_t mixed(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }

    const Question<T>& question_;
    const int channels_, fields_, groups_;
    Buffer<T> reference_, threshold_, sums_;
    const std::uint32_t drawn_count_;
    Buffer<T> apart_;
    const std::size_t words_;  // of flags of a row
    std::vector<std::uint64_t> some_;
    const T* apart_now_ = nullptr;  // e of the displacements that are being visited
    Sieve<T> sieve_{};
    int first_[together] = {};  // columns of the first places of a row
    bool sifted_ = false;  // whether the sieve has seen the row that comes next
    int drawn_ = -1;       // first image of the block whose e these are
};
