// What becomes of the log-weights of all pairs: the posterior of every pixel.
#pragma once

#include "reader.hpp"

// Posterior of some images for one noisy image. Weights are 2^(L − reference), where L is the
// log₂-weight of a pair, and the reference of a pixel follows the largest L seen so far from a few bits
// below; what lies `depth` nats below it is passed over.
template <class T, class Stored, int C, bool Best>
class PosteriorSink final : public Reader<T, Stored> {
    using V = Lanes<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;
    static constexpr int slack = 7;

  public:
    static constexpr bool sifts = false, ends = false;

    explicit PosteriorSink(const Question<T>& question)
        : question_(question),
          channels_(C ? C : question.channels),
          fields_(channels_ + 1 + Best),
          reference_(std::size_t(question.height) * question.width),
          floor_(std::size_t(question.height) * question.width),
          entry_(Best ? std::size_t(question.height) * question.width : 0),
          sums_(std::size_t(question.height) * question.width * fields_ * lanes),
          some_(question.width + group_size),
          lists_(Best ? std::size_t(question.height) * question.width * question.best : 0,
                 Source{-HUGE_VAL, -1, -1}) {
        reference_.fill(static_cast<T>(never));
        floor_.fill(static_cast<T>(never / 2));
        entry_.fill(-std::numeric_limits<T>::infinity());
        sums_.fill(0);
    }

    // Adds the pairs of a row of pixels, `lines` one of each displacement of the group.
    void row(const Block<T, Stored>& block, const Group& group, int pixel_row, int source_row,
             const T* const* lines) {
        const Row row{block, group, lines, pixel_row * question_.width, source_row};
        if (group.size == 2)
            add_row<2>(row);
        else
            add_row<1>(row);
    }

    void take(Sweep<T, Stored>& sweep, int sample, bool biased) override {
        sweep.visit(sample, biased, *this);
    }

    // The posterior of one pixel: log Σ 2^L, the mean of x, the entropy, and its sources, which are
    // weighed by L.
    double read(int pixel, double* mean, double* entropy, const Source** sources) const override {
        const T* sums = sums_of(pixel);
        const double total = across<T>(sums);
        for (int c = 0; c < channels_; ++c)
            mean[c] = total > 0 ? across<T>(sums + (c + 1) * lanes) / (total * Stored::scale) : 0;
        if (Best) {
            const double log_sum = across<T>(sums + (channels_ + 1) * lanes);
            *entropy = total > 0 ? std::max(0.0, std::log(total) - ln2 * log_sum / total) : 0;
            *sources = lists_.data() + std::size_t(pixel) * question_.best;
        }
        return total > 0 ? ln2 * reference_.get()[pixel] + std::log(total) : -HUGE_VAL;
    }

  private:
    struct Row {
        const Block<T, Stored>& block;
        const Group& group;
        const T* const* lines;
        int first_pixel, source_row;

        // Column of the source that one displacement gives to a place of the lines.
        int source(int g, int x) const { return group.runs[g].source + x - group.offset(g); }
    };

    T* sums_of(int pixel) { return sums_.get() + std::size_t(pixel) * fields_ * lanes; }
    const T* sums_of(int pixel) const { return sums_.get() + std::size_t(pixel) * fields_ * lanes; }

    // Adds the pairs of G displacements.
    template <int G> void add_row(const Row& row) {
        if constexpr (C != 0 && !Best) {
            if (whole_) return add_whole<G>(row);
            const int count = choose<G>(row);
            whole_ = count == row.group.extent;
            add_chosen<G>(row, count);
        } else {
            add_each(row, choose<G>(row));
        }
    }

    // What the pairs of a row need, in registers, which no store can change.
    template <int G> struct Pointers {
        const T* references;
        T* sums;
        const Unit* values[G];
        const T* lines[G];

        Pointers(PosteriorSink& sink, const Row& row)
            : references(sink.reference_.get() + row.first_pixel), sums(sink.sums_of(row.first_pixel)) {
            for (int g = 0; g < G; ++g) {
                values[g] = row.block.values(row.source_row, row.source(g, 0));
                lines[g] = row.lines[g];
            }
        }
        // The largest log₂-weight at one place.
        IN_PLACE V most(int x) const {
            const std::size_t place = std::size_t(x) * 2 * lanes;
            const V most = Pair<T>::load(lines[0] + place).largest_of_both();
            if (G == 1) return most;
            return V::larger(most, Pair<T>::load(lines[G - 1] + place).largest_of_both());
        }
    };

    // Lists the places with a weight that counts, moving references where one is far above.
    template <int G> APART int choose(const Row& row) {
        const Columns columns(row.group, question_.width);
        const Pointers<G> at(*this, row);
        const T* floors = floor_.get() + row.first_pixel;
        int count = 0, *some = some_.data();
        for (int x = 0; x < columns.extent; ++x) {
            const int column = columns[x];
            const V most = at.most(x);
            some[count] = x;
            count += V::any_above(most, V::all(floors[column]));
            if (V::any_above(most, V::all(at.references[column] + T(slack))))
                raise(row.first_pixel + column, most.largest());
        }
        return count;
    }

    // Adds the pairs of the pixels that were chosen.
    template <int G> APART void add_chosen(const Row& row, int count) {
        const Columns columns(row.group, question_.width);
        const Pointers<G> at(*this, row);
        const int* some = some_.data();
        for (int one = 0; one < count; ++one) add_pairs(at, some[one], columns[some[one]]);
    }

    // Adds the pairs of all pixels of a row, and notes whether all weigh something.
    template <int G> APART void add_whole(const Row& row) {
        const Columns columns(row.group, question_.width);
        const Pointers<G> at(*this, row);
        const T* floors = floor_.get() + row.first_pixel;
        int count = 0;
        for (int x = 0; x < columns.extent; ++x) {
            const int column = columns[x];
            const V most = at.most(x);
            count += V::any_above(most, V::all(floors[column]));
            if (V::any_above(most, V::all(at.references[column] + T(slack))))
                raise(row.first_pixel + column, most.largest());
            add_pairs(at, x, column);
        }
        whole_ = count == columns.extent;
    }

    // Adds the pairs of one pixel, C channels.
    template <int G> IN_PLACE static void add_pairs(const Pointers<G>& at, int x, int column) {
        T* sums = at.sums + std::size_t(column) * (C + 1) * lanes;
        const V base = V::all(at.references[column]);
        V totals[C + 1];
        for (int field = 0; field <= C; ++field) totals[field] = V::load(sums + field * lanes);
        for (int g = 0; g < G; ++g) {
            const Pair<T> weight = Pair<T>::load(at.lines[g] + std::size_t(x) * 2 * lanes);
            const V first = power_of_two<T>(weight.first - base);
            const V second = power_of_two<T>(weight.second - base);
            totals[0] = totals[0] + (first + second);
            for (int c = 0; c < C; ++c) {
                const Pair<T> value = Stored::get(at.values[g] + (std::ptrdiff_t(x) * C + c) * Stored::size);
                totals[c + 1] = V::fused(first, value.first, totals[c + 1]);
                totals[c + 1] = V::fused(second, value.second, totals[c + 1]);
            }
        }
        for (int field = 0; field <= C; ++field) totals[field].store(sums + field * lanes);
    }

    // The same for any number of channels, and the best sources.
    APART void add_each(const Row& row, int count) {
        const Columns columns(row.group, question_.width);
        for (int one = 0; one < count; ++one) {
            const int x = some_[one], pixel = row.first_pixel + columns[x];
            for (int g = 0; g < row.group.size; ++g) {
                const Pair<T> weight = Pair<T>::load(row.lines[g] + std::size_t(x) * 2 * lanes);
                const V most = weight.largest_of_both();
                if (!V::any_above(most, V::all(floor_.get()[pixel]))) continue;
                const int source = row.source(g, x);
                add(pixel, weight, row.block.values(row.source_row, source));
                if (Best && V::any_above(most, V::all(entry_.get()[pixel])))
                    keep(row.block, pixel, row.source_row * question_.width + source, weight);
            }
        }
    }

    IN_PLACE void add(int pixel, Pair<T> weight, const Unit* values) {
        T* sum = sums_of(pixel);
        const V base = V::all(reference_.get()[pixel]);
        const V first = power_of_two<T>(weight.first - base);
        const V second = power_of_two<T>(weight.second - base);
        (V::load(sum) + (first + second)).store(sum);
        for (int c = 0, end = channels_; c < end; ++c, values += Stored::size) {
            sum += lanes;
            const Pair<T> value = Stored::get(values);
            const V added = V::fused(first, value.first, V::load(sum));
            V::fused(second, value.second, added).store(sum);
        }
        if (!Best) return;
        sum += lanes;
        const V least = V::all(Precision<T>::least_power);
        const V added = V::fused(first, V::larger(weight.first - base, least), V::load(sum));
        V::fused(second, V::larger(weight.second - base, least), added).store(sum);
    }

    // Moves the reference of a pixel up to the largest log-weight seen.
    APART void raise(int pixel, T largest) {
        T* sums = sums_of(pixel);
        T& reference = reference_.get()[pixel];
        const T rise = largest - reference;
        const bool fresh = reference <= static_cast<T>(never / 2);
        const V factor = V::all(fresh ? T(0) : static_cast<T>(std::exp2(-double(rise))));
        if (Best) {
            // Σ w (L − reference) moves with the reference, too.
            T* log_sum = sums + (channels_ + 1) * lanes;
            const V shift = V::load(sums) * V::all(fresh ? T(0) : -rise);
            (V::load(log_sum) + shift).store(log_sum);
        }
        for (int field = 0; field < fields_; ++field)
            (V::load(sums + field * lanes) * factor).store(sums + field * lanes);
        reference = largest;
        lower(pixel);
    }

    // Sets what a pixel passes over: nothing that may count, or be among its best sources.
    void lower(int pixel) {
        T floor = reference_.get()[pixel] - static_cast<T>(question_.depth / ln2);
        if (Best) {
            const double last = lists_[std::size_t(pixel + 1) * question_.best - 1].weight;
            const T below = std::nextafter(static_cast<T>(std::max(last, never / 2)), T(never));
            floor = std::min(floor, below);
        }
        floor_.get()[pixel] = std::max(floor, static_cast<T>(never / 2));
    }

    APART void keep(const Block<T, Stored>& block, int pixel, int position, Pair<T> weight) {
        alignas(64) T weights[2 * lanes];
        weight.store(weights);
        Source* list = lists_.data() + std::size_t(pixel) * question_.best;
        Source* end = list + question_.best;
        bool changed = false;
        for (int lane = 0; lane < block.present(); ++lane) {
            if (!(weights[lane] >= (end - 1)->weight)) continue;
            const std::int64_t image = question_.index[block.first() + lane];
            const Source found{double(weights[lane]), image, position};
            if (!before(found, *(end - 1))) continue;
            Source* place = std::upper_bound(list, end, found, before);
            std::move_backward(place, end - 1, end);
            *place = found;
            changed = true;
        }
        if (!changed) return;
        const T last = static_cast<T>((end - 1)->weight);
        entry_.get()[pixel] = std::nextafter(last, -std::numeric_limits<T>::infinity());
        lower(pixel);
    }

    const Question<T>& question_;
    const int channels_, fields_;
    Buffer<T> reference_, floor_;
    Buffer<T> entry_;  // what a weight must be above to be among the best sources
    Buffer<T> sums_;
    std::vector<int> some_;  // places that were chosen
    bool whole_ = false;     // whether these were all places of the row before
    std::vector<Source> lists_;
};
