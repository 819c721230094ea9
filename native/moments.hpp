// What becomes of the log-weights of all pairs: the evidence of every image, and its mean colour.
#pragma once

// log Σ_v 2^L of every image in the lanes and, if `Means`, the mean of x under these weights, at every pixel.
// Each image has a reference of its own at each pixel, which follows the largest L seen so far from a few bits
// below; where all images of a vector lie `depth` nats below theirs, they are passed over.
template <class T, class Stored, int C, bool Means> class MomentsSink {
    using V = Lanes<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;
    static constexpr int slack = 7;

  public:
    static constexpr bool sifts = false, ends = false;

    explicit MomentsSink(const Question<T>& question)
        : question_(question),
          channels_(!Means ? 0 : C ? C : question.channels),
          fields_(channels_ + 1),
          floor_(static_cast<T>(-question.depth / ln2)),
          references_(std::size_t(question.height) * question.width * 2 * lanes),
          sums_(std::size_t(question.height) * question.width * 2 * fields_ * lanes),
          some_(2 * (question.width + group_size)) {}

    void clear() {
        references_.fill(static_cast<T>(never));
        sums_.fill(0);
    }

    // Adds the pairs of a row of pixels, `lines` one of each displacement of the group.
    template <class Laid>
    void row(const Laid& block, const Group& group, int pixel_row, int source_row, const T* const* lines) {
        const Columns columns(group, question_.width);
        if (group.size == 2)
            add_row(Row<2>(*this, block, group, pixel_row, source_row, lines), columns);
        else
            add_row(Row<1>(*this, block, group, pixel_row, source_row, lines), columns);
    }

    double evidence(int pixel, int lane) const {
        const std::size_t place = std::size_t(pixel) * 2 * lanes + lane;
        return ln2 * references_.get()[place] + std::log(double(*sums(pixel, lane)));
    }
    double mean(int pixel, int lane, int channel) const {
        const T* sum = sums(pixel, lane);
        return double(sum[(channel + 1) * lanes]) / (double(*sum) * Stored::scale);
    }

  private:
    // What the pairs of a row need, in registers, which no store can change.
    template <int G> struct Row {
        T *references, *sums;
        const Unit* values[G];
        const T* lines[G];

        template <class Laid>
        Row(MomentsSink& sink, const Laid& block, const Group& group, int pixel_row, int source_row,
            const T* const* given)
            : references(sink.references_.get() + std::size_t(pixel_row) * sink.question_.width * 2 * lanes),
              sums(sink.sums_.get() + std::size_t(pixel_row) * sink.question_.width * 2 * sink.fields_ * lanes) {
            for (int g = 0; g < G; ++g) {
                values[g] = block.values(source_row, group.runs[g].source - group.offset(g));
                lines[g] = given[g];
            }
        }
        // The largest log₂-weights of one half of the images at one place.
        IN_PLACE V most(int x, int half) const {
            const std::size_t place = (std::size_t(x) * 2 + half) * lanes;
            const V most = V::load(lines[0] + place);
            return G == 1 ? most : V::larger(most, V::load(lines[G - 1] + place));
        }
        IN_PLACE T* reference(int column, int half) const {
            return references + (std::size_t(column) * 2 + half) * lanes;
        }
    };

    const T* sums(int pixel, int lane) const {
        return sums_.get() + (std::size_t(pixel) * 2 + lane / lanes) * fields_ * lanes + lane % lanes;
    }

    template <int G> void add_row(const Row<G>& row, const Columns& columns) {
        if (whole_) return add_whole(row, columns);
        const int first = choose<0>(row, columns), second = choose<1>(row, columns);
        whole_ = first + second > columns.extent;
        add_chosen<0>(row, columns, first);
        add_chosen<1>(row, columns, second);
    }

    // The places that were chosen for one half of the images.
    int* some(int half) { return some_.data() + std::size_t(half) * (question_.width + group_size); }

    // Lists the places where something weighs anything for one half of the images.
    template <int half, int G> APART int choose(const Row<G>& row, const Columns& columns) {
        int count = 0, *chosen = some(half);
        for (int x = 0; x < columns.extent; ++x) {
            chosen[count] = x;
            count += V::any_above(row.most(x, half) - V::load(row.reference(columns[x], half)), V::all(floor_));
        }
        return count;
    }

    template <int half, int G> APART void add_chosen(const Row<G>& row, const Columns& columns, int count) {
        const int* chosen = some(half);
        for (int one = 0; one < count; ++one) add<half, true>(row, chosen[one], columns[chosen[one]]);
    }

    // Adds the pairs of all places, and notes whether all weigh something.
    template <int G> APART void add_whole(const Row<G>& row, const Columns& columns) {
        int count = 0;
        for (int x = 0; x < columns.extent; ++x) {
            const int column = columns[x];
            for (int half = 0; half < 2; ++half) count += weighs(row, x, column, half);
            add<0, false>(row, x, column);
            add<1, false>(row, x, column);
        }
        whole_ = count > columns.extent;
    }

    // Whether something weighs anything at one place, for one half of the images; moves references up.
    template <int G> IN_PLACE bool weighs(const Row<G>& row, int x, int column, int half) const {
        const V most = row.most(x, half), apart = most - V::load(row.reference(column, half));
        if (V::any_above(apart, V::all(T(slack)))) raise(row, column, half, most);
        return V::any_above(apart, V::all(floor_));
    }

    // References after log-weights as large as `most`. Each image's moves by what it weighs alone, so that
    // equal images have equal bits wherever they lie.
    IN_PLACE static V moved(V before, V most) {
        return V::choose_above(most, before + V::all(T(slack)), most, before);
    }

    // Adds the pairs of one place and one half of the images; may move their references up first.
    template <int half, bool moves, int G> IN_PLACE void add(const Row<G>& row, int x, int column) const {
        const int channels = !Means ? 0 : C ? C : channels_;
        const std::size_t place = std::size_t(column) * 2 + half;
        const V before = V::load(row.reference(column, half));
        const V reference = moves ? moved(before, row.most(x, half)) : before;
        const V factor = moves ? power_of_two<T>(before - reference) : V::all(T(1));
        if (moves) reference.store(row.reference(column, half));
        T* sums = row.sums + place * (channels + 1) * lanes;
        V weights[G];
        V total = V::load(sums);
        if (moves) total = total * factor;
        for (int g = 0; g < G; ++g) {
            weights[g] = power_of_two<T>(V::load(row.lines[g] + (std::size_t(x) * 2 + half) * lanes) - reference);
            total = total + weights[g];
        }
        total.store(sums);
        for (int c = 0; c < channels; ++c) {
            V sum = V::load(sums + (c + 1) * lanes);
            if (moves) sum = sum * factor;
            for (int g = 0; g < G; ++g) {
                const Pair<T> value =
                    Stored::get(row.values[g] + (std::ptrdiff_t(x) * channels + c) * Stored::size);
                sum = V::fused(weights[g], half ? value.second : value.first, sum);
            }
            sum.store(sums + (c + 1) * lanes);
        }
    }

    // Moves the references of one half of the images up to the largest log-weights seen.
    template <int G> APART void raise(const Row<G>& row, int column, int half, V most) const {
        T *reference = row.reference(column, half);
        T* sums = row.sums + (std::size_t(column) * 2 + half) * fields_ * lanes;
        const V before = V::load(reference), after = moved(before, most);
        const V factor = power_of_two<T>(before - after);
        after.store(reference);
        for (int field = 0; field < fields_; ++field)
            (V::load(sums + field * lanes) * factor).store(sums + field * lanes);
    }

    const Question<T>& question_;
    const int channels_, fields_;
    const T floor_;
    Buffer<T> references_, sums_;  // [H·W, 2, lanes], and [H·W, 2, 1 + C, lanes]: Σ 2^(L − reference), times x
    std::vector<int> some_;        // places that were chosen, for each half of the images
    bool whole_ = false;           // whether these were all of the row before
};
