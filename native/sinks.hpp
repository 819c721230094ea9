// What becomes of the log-weights of all pairs: the posterior of every pixel, or per-image evidence.
#pragma once

// exp r for |r| up to ln 2 / 2. In float32 the polynomial of 5th degree with the least relative
// error, 9e-8, of those that are exact at 0; in float64 the series.
template <class T> struct Precision;
template <> struct Precision<float> {
    static constexpr float least = -87;  // exp of it is still a normal number
    static constexpr float ln2 = 0.693147182f, rest = 0;
    static constexpr int degree = 5;
    static constexpr float term(int n) {
        constexpr float terms[] = {1.0f,          0.9999997072f, 0.4999914953f,
                                   0.166676362f, 0.0418979296f, 0.008290314756f};
        return terms[n];
    }
};
template <> struct Precision<double> {
    static constexpr double least = -708;
    static constexpr double ln2 = 6.93145751953125e-1, rest = 1.42860682030941723212e-6;
    static constexpr int degree = 13;
    static constexpr double term(int n) { return n < 2 ? 1 : term(n - 1) / n; }
};

// exp x for x of at most 80; what lies below `least` is raised to it.
template <class T> inline Lanes<T> exponential(Lanes<T> x) {
    using V = Lanes<T>;
    using P = Precision<T>;
    x = V::larger(x, V::all(P::least));
    const V n = V::rounded(x * V::all(T(1.4426950408889634)));
    V r = V::fused(n, V::all(-P::ln2), x);
    if (P::rest != 0) r = V::fused(n, V::all(-P::rest), r);
    V sum = V::all(P::term(P::degree));
    for (int term = P::degree - 1; term >= 0; --term) sum = V::fused(sum, r, V::all(P::term(term)));
    return V::times_power(sum, n);
}

// Posterior of some images for one noisy image. Weights are exp(L − reference), where the
// reference of a pixel follows the largest L seen so far from a few nats below; what lies `depth`
// below it is passed over.
template <class T, int C, bool Best> class PosteriorSink {
    using V = Lanes<T>;
    static constexpr int lanes = V::count;
    static constexpr int slack = 5;

  public:
    explicit PosteriorSink(const Question<T>& question)
        : question_(question),
          channels_(C ? C : question.channels),
          fields_(channels_ + 1 + Best),
          reference_(std::size_t(question.height) * question.width),
          floor_(std::size_t(question.height) * question.width),
          sums_(std::size_t(question.height) * question.width * fields_ * lanes),
          lists_(Best ? std::size_t(question.height) * question.width * question.best : 0,
                 Source{-HUGE_VAL, -1, -1}) {
        reference_.fill(static_cast<T>(never));
        floor_.fill(static_cast<T>(never / 2));
        sums_.fill(0);
    }

    template <class Sweep>
    void row(const Sweep& sweep, const Group& group, int pixel_row, int source_row, const T* tile) {
        const int width = question_.width;
        int column = group.first % width;
        for (int x = 0; x < group.extent; ++x) {
            const int pixel = pixel_row * width + column;
            if (++column == width) column = 0;
            const T* here = tile + std::size_t(x) * lanes;
            V most = V::load(here);
            for (int g = 1; g < group.size; ++g)
                most = V::larger(most, V::load(here + std::size_t(g) * 2 * width * lanes));
            if (!V::any_above(most, V::all(floor_.get()[pixel]))) continue;
            add(sweep, group, pixel, source_row, x, here, most);
        }
    }

    // The posterior of one pixel: log Σ exp L, the mean of x, the entropy, and its sources.
    double read(int pixel, double* mean, double* entropy, const Source** sources) const {
        const T* sums = sums_.get() + std::size_t(pixel) * fields_ * lanes;
        const double total = across_lanes(sums);
        for (int c = 0; c < channels_; ++c)
            mean[c] = total > 0 ? across_lanes(sums + (c + 1) * lanes) / total : 0;
        if (Best) {
            const double log_sum = across_lanes(sums + (channels_ + 1) * lanes);
            *entropy = total > 0 ? std::max(0.0, std::log(total) - log_sum / total) : 0;
            *sources = lists_.data() + std::size_t(pixel) * question_.best;
        }
        return total > 0 ? reference_.get()[pixel] + std::log(total)
                         : -HUGE_VAL;
    }

  private:
    static double across_lanes(const T* values) {
        double sum = 0;
        for (int lane = 0; lane < lanes; ++lane) sum += values[lane];
        return sum;
    }

    template <class Sweep>
    void add(const Sweep& sweep, const Group& group, int pixel, int source_row, int x,
             const T* here, V most) {
        T* sums = sums_.get() + std::size_t(pixel) * fields_ * lanes;
        T& reference = reference_.get()[pixel];
        if (V::any_above(most, V::all(reference + T(slack)))) raise(pixel, most.largest(), sums);
        const V base = V::all(reference), least = V::all(floor_.get()[pixel]);
        V totals[C ? C + 1 : 1];
        if (C)
            for (int field = 0; field <= C; ++field) totals[field] = V::load(sums + field * lanes);
        for (int g = 0; g < group.size; ++g) {
            const V weight = V::load(here + std::size_t(g) * 2 * question_.width * lanes);
            if (!V::any_above(weight, least)) continue;
            const Run& run = group.runs[g];
            const int source = run.source + x + group.first - run.query;
            const T* values = sweep.values(source_row, source);
            const V share = exponential<T>(weight - base);
            if (C) {
                totals[0] = totals[0] + share;
                for (int c = 0; c < C; ++c)
                    totals[c + 1] = V::fused(share, V::load(values + c * lanes), totals[c + 1]);
            } else {
                (V::load(sums) + share).store(sums);
                for (int c = 0; c < channels_; ++c) {
                    T* sum = sums + (c + 1) * lanes;
                    V::fused(share, V::load(values + c * lanes), V::load(sum)).store(sum);
                }
            }
            if (!Best) continue;
            T* sum = sums + (channels_ + 1) * lanes;
            const V log_share = V::larger(weight - base, V::all(Precision<T>::least));
            V::fused(share, log_share, V::load(sum)).store(sum);
            keep(sweep, pixel, source_row * question_.width + source, weight);
        }
        if (C)
            for (int field = 0; field <= C; ++field) totals[field].store(sums + field * lanes);
    }

    // Moves the reference of a pixel up to the largest log-weight seen.
    void raise(int pixel, T largest, T* sums) {
        T& reference = reference_.get()[pixel];
        const T rise = largest - reference;
        const bool fresh = reference <= static_cast<T>(never / 2);
        const V factor = V::all(fresh ? T(0) : static_cast<T>(std::exp(-double(rise))));
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
        T floor = reference_.get()[pixel] - static_cast<T>(question_.depth);
        if (Best) {
            const double last = lists_[std::size_t(pixel + 1) * question_.best - 1].weight;
            const T below = std::nextafter(static_cast<T>(std::max(last, never / 2)), T(never));
            floor = std::min(floor, below);
        }
        floor_.get()[pixel] = std::max(floor, static_cast<T>(never / 2));
    }

    template <class Sweep> void keep(const Sweep& sweep, int pixel, int position, V weight) {
        alignas(64) T weights[lanes];
        weight.store(weights);
        Source* list = lists_.data() + std::size_t(pixel) * question_.best;
        Source* end = list + question_.best;
        bool changed = false;
        for (int lane = 0; lane < sweep.present(); ++lane) {
            if (!(weights[lane] >= (end - 1)->weight)) continue;
            const std::int64_t image = question_.index[sweep.first() + lane];
            const Source found{double(weights[lane]), image, position};
            if (!before(found, *(end - 1))) continue;
            Source* place = std::upper_bound(list, end, found, before);
            std::move_backward(place, end - 1, end);
            *place = found;
            changed = true;
        }
        if (changed) lower(pixel);
    }

    const Question<T>& question_;
    const int channels_, fields_;
    Buffer<T> reference_, floor_, sums_;
    std::vector<Source> lists_;
};

// log Σ_v exp ℓ of every image of a block, each image its own running maximum.
template <class T> class EvidenceSink {
    using V = Lanes<T>;
    static constexpr int lanes = V::count;

  public:
    explicit EvidenceSink(const Question<T>& question)
        : question_(question),
          most_(std::size_t(question.height) * question.width * lanes),
          sums_(std::size_t(question.height) * question.width * lanes) {}

    void clear() {
        most_.fill(static_cast<T>(never));
        sums_.fill(0);
    }

    template <class Sweep>
    void row(const Sweep&, const Group& group, int pixel_row, int, const T* tile) {
        const int width = question_.width;
        const V depth = V::all(static_cast<T>(question_.depth));
        int column = group.first % width;
        for (int x = 0; x < group.extent; ++x) {
            const std::size_t place = (std::size_t(pixel_row) * width + column) * lanes;
            if (++column == width) column = 0;
            V most = V::load(most_.get() + place);
            for (int g = 0; g < group.size; ++g) {
                const V one = V::load(tile + (std::size_t(g) * 2 * width + x) * lanes);
                if (!V::any_above(one, most - depth)) continue;
                const V apart = one - most, zero = V::all(T(0));
                const V share = exponential<T>(zero - V::larger(apart, zero - apart));
                V sum = V::load(sums_.get() + place);
                sum = V::choose_above(one, most, V::fused(sum, share, V::all(T(1))), sum + share);
                sum.store(sums_.get() + place);
                most = V::larger(one, most);
            }
            most.store(most_.get() + place);
        }
    }

    T read(int pixel, int lane) const {
        const std::size_t place = std::size_t(pixel) * lanes + lane;
        return most_.get()[place] +
               std::log(sums_.get()[place]);
    }

  private:
    const Question<T>& question_;
    Buffer<T> most_, sums_;
};
