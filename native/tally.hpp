// The posterior of one pixel after another from patches in the lanes of a few vectors.
#pragma once

template <class T, bool Best> class Tally {
    using V = Lanes<T>;
    static constexpr int lanes = V::count;
    static constexpr int slack = 5;

  public:
    Tally(int pixels, int channels, int best, double depth)
        : channels_(channels),
          fields_(channels + 1 + Best),
          best_(best),
          depth_(depth),
          reference_(pixels, static_cast<T>(never)),
          floor_(pixels, static_cast<T>(never / 2)),
          sums_(std::size_t(pixels) * fields_ * lanes),
          lists_(Best ? std::size_t(pixels) * best : 0, Source{-HUGE_VAL, -1, -1}) {
        sums_.fill(0);
    }

    // Adds patches to a pixel: ℓ of each lane, and its colour, `step` values from channel to channel.
    // `source(lane)` names the patch of a lane.
    template <class Name>
    void add(int pixel, V weight, const T* colour, std::ptrdiff_t step, const Name& source) {
        T& reference = reference_[pixel];
        T* sums = sums_.get() + std::size_t(pixel) * fields_ * lanes;
        if (!V::any_above(weight, V::all(floor_[pixel]))) return;
        if (V::any_above(weight, V::all(reference + T(slack)))) raise(pixel, weight.largest(), sums);
        const V apart = weight - V::all(reference), share = exponential<T>(apart);
        (V::load(sums) + share).store(sums);
        for (int c = 0; c < channels_; ++c) {
            T* sum = sums + (c + 1) * lanes;
            V::fused(share, V::load(colour + c * step), V::load(sum)).store(sum);
        }
        if (!Best) return;
        T* sum = sums + (channels_ + 1) * lanes;
        V::fused(share, V::larger(apart, V::all(Precision<T>::least)), V::load(sum)).store(sum);
        keep(pixel, weight, source);
    }

    // log Σ exp ℓ, the mean colour, the entropy and the best sources of a pixel.
    double read(int pixel, double* mean, double* entropy, const Source** sources) const {
        const T* sums = sums_.get() + std::size_t(pixel) * fields_ * lanes;
        const double total = across<T>(sums);
        for (int c = 0; c < channels_; ++c)
            mean[c] = total > 0 ? across<T>(sums + (c + 1) * lanes) / total : 0;
        if (Best) {
            const double log_sum = across<T>(sums + (channels_ + 1) * lanes);
            *entropy = total > 0 ? std::max(0.0, std::log(total) - log_sum / total) : 0;
            *sources = lists_.data() + std::size_t(pixel) * best_;
        }
        return total > 0 ? reference_[pixel] + std::log(total) : -HUGE_VAL;
    }

  private:
    // Sets what counts for nothing and is not among the best sources either.
    void lower(int pixel) {
        double floor = reference_[pixel] - depth_;
        if (Best) floor = std::min(floor, lists_[std::size_t(pixel + 1) * best_ - 1].weight);
        floor_[pixel] = std::nextafter(static_cast<T>(std::max(floor, never / 2)), T(never));
    }

    void raise(int pixel, T largest, T* sums) {
        T& reference = reference_[pixel];
        const T rise = largest - reference;
        const bool fresh = reference <= static_cast<T>(never / 2);
        const V factor = V::all(fresh ? T(0) : static_cast<T>(std::exp(-double(rise))));
        if (Best) {
            // Σ w (ℓ − reference) moves with the reference, too.
            T* log_sum = sums + (channels_ + 1) * lanes;
            (V::load(log_sum) + V::load(sums) * V::all(fresh ? T(0) : -rise)).store(log_sum);
        }
        for (int field = 0; field < fields_; ++field)
            (V::load(sums + field * lanes) * factor).store(sums + field * lanes);
        reference = largest;
        lower(pixel);
    }

    template <class Name> void keep(int pixel, V weight, const Name& source) {
        alignas(64) T weights[lanes];
        weight.store(weights);
        Source* list = lists_.data() + std::size_t(pixel) * best_;
        Source* end = list + best_;
        bool changed = false;
        for (int lane = 0; lane < lanes; ++lane) {
            if (!(weights[lane] >= (end - 1)->weight) || weights[lane] <= T(never / 2)) continue;
            Source found = source(lane);
            found.weight = double(weights[lane]);
            if (!before(found, *(end - 1))) continue;
            Source* place = std::upper_bound(list, end, found, before);
            std::move_backward(place, end - 1, end);
            *place = found;
            changed = true;
        }
        if (changed) lower(pixel);
    }

    int channels_, fields_, best_;
    double depth_;
    std::vector<T> reference_, floor_;
    Buffer<T> sums_;
    std::vector<Source> lists_;
};
