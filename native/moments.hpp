// What becomes of the log-weights of all pairs: the evidence of every image, and its mean colour.
#pragma once

// log Σ_v 2^L of every image in the lanes and, if `Means`, the mean of x under these weights, at every pixel.
// Each image has a reference of its own at each pixel, which follows the largest L seen so far from some bits
// below, and a floor, `depth` nats below that L: where all images of a vector lie below theirs, they are passed over.
template <class T, class Stored, int C, bool Means> class MomentsSink {
    using V = Lanes<T>;
    using Both = Pair<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;
    static constexpr int slack = 80;

  public:
    static constexpr bool sifts = false, ends = false;
    static constexpr int together = group_size;  // sums are read and written once for so many

    explicit MomentsSink(const Question<T>& question)
        : question_(question),
          channels_(!Means ? 0 : C ? C : question.channels),
          fields_(channels_ + 1),
          depth_(Both::all(static_cast<T>(question.depth / ln2))),
          references_(std::size_t(question.height) * question.width * 2 * lanes),
          floors_(std::size_t(question.height) * question.width * 2 * lanes),
          sums_(std::size_t(question.height) * question.width * 2 * fields_ * lanes),
          some_((question.width + group_size) * 2 * group_size) {}

    void clear() {
        references_.fill(static_cast<T>(never));
        floors_.fill(static_cast<T>(never / 2));
        sums_.fill(0);
    }

    // Adds the pairs of a row of pixels, `lines` one of each displacement of the group.
    template <class Laid>
    void row(const Laid& block, const Group& group, int pixel_row, int source_row, const T* const* lines) {
        const Columns columns(group, question_.width);
        const auto add = [&](auto count, int g) {
            add_row(Row<count>(*this, block, group, g, pixel_row, source_row, lines), columns);
        };
        if (group.size == 4) return add(std::integral_constant<int, 4>(), 0);
        if (group.size >= 2) add(std::integral_constant<int, 2>(), 0);
        if (group.size % 2) add(std::integral_constant<int, 1>(), group.size - 1);
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
        T *references, *floors, *sums;
        const Unit* values[G];
        const T* lines[G];

        template <class Laid>
        Row(MomentsSink& sink, const Laid& block, const Group& group, int from, int pixel_row, int source_row,
            const T* const* given)
            : references(sink.references_.get() + std::size_t(pixel_row) * sink.question_.width * 2 * lanes),
              floors(sink.floors_.get() + std::size_t(pixel_row) * sink.question_.width * 2 * lanes),
              sums(sink.sums_.get() + std::size_t(pixel_row) * sink.question_.width * 2 * sink.fields_ * lanes) {
            for (int g = 0; g < G; ++g) {
                values[g] = block.values(source_row, group.runs[from + g].source - group.offset(from + g));
                lines[g] = given[from + g];
            }
        }
        // x at one place, of one displacement.
        IN_PLACE Both value(int g, int x, int channels, int c) const {
            return Stored::get(values[g] + (std::ptrdiff_t(x) * channels + c) * Stored::size);
        }
    };

    IN_PLACE int channels() const { return !Means ? 0 : C ? C : channels_; }
    const T* sums(int pixel, int lane) const {
        return sums_.get() + (std::size_t(pixel) * 2 + lane / lanes) * fields_ * lanes + lane % lanes;
    }

    template <int G> void add_row(const Row<G>& row, const Columns& columns) {
        if (whole_) return add_whole(row, columns);
        const int first = choose<0>(row, columns), second = choose<1>(row, columns);
        whole_ = 2 * (first + second) > G * columns.extent;
        add_chosen<0>(row, columns, first);
        add_chosen<1>(row, columns, second);
    }

    // The pairs that were chosen for one half of the images: a place, and one of the displacements.
    int* some(int half) { return some_.data() + half * some_.size() / 2; }

    // Lists the pairs where something weighs anything for one half of the images.
    template <int half, int G> APART int choose(const Row<G>& row, const Columns& columns) {
        int count = 0, *chosen = some(half);
        for (int x = 0; x < columns.extent; ++x) {
            const V floor = V::load(row.floors + (std::size_t(columns[x]) * 2 + half) * lanes);
            for (int g = 0; g < G; ++g) {
                chosen[count] = x * group_size + g;
                count += V::any_above(V::load(row.lines[g] + (std::size_t(x) * 2 + half) * lanes), floor);
            }
        }
        return count;
    }

    template <int half, int G> APART void add_chosen(const Row<G>& row, const Columns& columns, int count) {
        const int* chosen = some(half);
        for (int one = 0; one < count; ++one) {
            const int x = chosen[one] / group_size;
            add<half>(row, chosen[one] % group_size, x, columns[x]);
        }
    }

    // Adds the pairs of one place and displacement, and one half of the images.
    template <int half, int G> IN_PLACE void add(const Row<G>& row, int g, int x, int column) const {
        const std::size_t place = std::size_t(column) * 2 + half;
        T* sums = row.sums + place * (channels() + 1) * lanes;
        const V log = V::load(row.lines[g] + (std::size_t(x) * 2 + half) * lanes);
        V::larger(V::load(row.floors + place * lanes), log - depth_.first).store(row.floors + place * lanes);
        const V before = V::load(row.references + place * lanes), reference = moved(before, log);
        reference.store(row.references + place * lanes);
        const V factor = power_of_two<T>(before - reference), weight = power_of_two<T>(log - reference);
        V::fused(V::load(sums), factor, weight).store(sums);
        for (int c = 0; c < channels(); ++c) {
            sums += lanes;
            const Both value = row.value(g, x, channels(), c);
            V::fused(weight, half ? value.second : value.first, V::load(sums) * factor).store(sums);
        }
    }

    // Adds the pairs of all places, and notes whether a quarter weigh something.
    template <int G> APART void add_whole(const Row<G>& row, const Columns& columns) {
        int count = 0;
        for (int x = 0; x < columns.extent; ++x) {
            const std::size_t place = std::size_t(columns[x]) * 2;
            Both logs[G];
            for (int g = 0; g < G; ++g) logs[g] = Both::load(row.lines[g] + std::size_t(x) * 2 * lanes);
            Both most = logs[0];
            for (int g = 1; g < G; ++g) most = Both::larger(most, logs[g]);
            const Both floor = Both::load(row.floors + place * lanes);
            count += V::any_above(logs[0].first, floor.first) + V::any_above(logs[0].second, floor.second);
            Both::larger(floor, most - depth_).store(row.floors + place * lanes);
            const Both apart = most - Both::load(row.references + place * lanes);
            if (V::any_above(apart.largest_of_both(), V::all(T(slack)))) {
                if (V::any_above(apart.first, V::all(T(slack)))) raise(row, place, most.first);
                if (V::any_above(apart.second, V::all(T(slack)))) raise(row, place + 1, most.second);
            }
            add_all(row, x, place, logs);
        }
        whole_ = 2 * count > columns.extent;
    }

    // Adds the pairs of one place, of all displacements and images.
    template <int G> IN_PLACE void add_all(const Row<G>& row, int x, std::size_t place, const Both* logs) const {
        T *first = row.sums + place * (channels() + 1) * lanes, *second = first + (channels() + 1) * lanes;
        const Both reference = Both::load(row.references + place * lanes);
        Both weights[G], total{V::load(first), V::load(second)};
        for (int g = 0; g < G; ++g) {
            const Both apart = logs[g] - reference;
            weights[g] = {power_of_two<T>(apart.first), power_of_two<T>(apart.second)};
            total = total + weights[g];
        }
        total.first.store(first);
        total.second.store(second);
        for (int c = 0; c < channels(); ++c) {
            first += lanes;
            second += lanes;
            Both sum{V::load(first), V::load(second)};
            for (int g = 0; g < G; ++g) sum = Both::fused(weights[g], row.value(g, x, channels(), c), sum);
            sum.first.store(first);
            sum.second.store(second);
        }
    }

    // References after log-weights as large as `most`. Each image's moves by what it weighs alone, so that
    // equal images have equal bits wherever they lie.
    IN_PLACE static V moved(V before, V most) {
        return V::choose_above(most, before + V::all(T(slack)), most, before);
    }

    // Moves the references of some images at one place up to log-weights that are far above.
    template <int G> APART void raise(const Row<G>& row, std::size_t place, V most) const {
        T *reference = row.references + place * lanes, *sums = row.sums + place * fields_ * lanes;
        const V before = V::load(reference), after = moved(before, most);
        const V factor = power_of_two<T>(before - after);
        after.store(reference);
        for (int field = 0; field < fields_; ++field)
            (V::load(sums + field * lanes) * factor).store(sums + field * lanes);
    }

    const Question<T>& question_;
    const int channels_, fields_;
    const Both depth_;
    Buffer<T> references_, floors_;  // [H·W, 2, lanes]
    Buffer<T> sums_;                 // [H·W, 2, 1 + C, lanes]: Σ 2^(L − reference), times x
    std::vector<int> some_;          // pairs that were chosen, for each half of the images
    bool whole_ = false;             // whether a quarter of the pairs of the row before weigh something
};
