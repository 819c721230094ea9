// Squared differences between a noisy image and those of a block, at one displacement or two.
#pragma once

#include "block.hpp"
#include "exponential.hpp"

// What is taken from the squared differences of all channels of a pixel, in the scale of what is stored.
// Nothing in double precision, which has digits to spare, nor where the best sources are kept: there a
// perfect fit is exactly 0, and differs from one that is almost perfect. Nor for the smallest windows,
// whose sums lose little: they are then the same to the last bit whether sources are kept or not.
template <class T, class Stored> T centre(const Question<T>& question, int sample) {
    const double scale = -question.scale[sample];
    const bool exact = std::is_same_v<T, double> || question.best > 0 || question.window < 5;
    if (exact || scale < 1e-20) return 0;
    return static_cast<T>(question.channels * double(Stored::scale) * Stored::scale / (2 * scale));
}

// ℓ / ln 2 over the distance in the scale of what is stored.
template <class T, class Stored> T log2_scale(const Question<T>& question, int sample) {
    const double square = double(Stored::scale) * Stored::scale;
    return static_cast<T>(question.scale[sample] / (square * ln2));
}

// Some successive rows of squared differences before one noisy image, at some displacements.
struct Place {
    int sample;
    const Run& run;
    const Group& group;
    int first, count;
};

// The noisy and the clean values that meet in one row, at G displacements that draw from the same positions,
// from the g-th of a group on.
template <class T, class Stored, int C, int G> class Places {
    using V = Pair<T>;

  public:
    Places(const Question<T>& question, const T* noisy, const Block<T, Stored>& block, const Place& at,
           int step, int g)
        : channels_(C ? C : question.channels),
          clean_(block.framed(at.run.source + at.first + step, at.group.runs[g].source)) {
        const std::size_t row = std::size_t(at.sample) * question.noisy_height + at.run.query + at.first + step;
        noisy_ = noisy + (row * question.noisy_width + at.group.runs[g].query) * channels_;
    }

    IN_PLACE int channels() const { return C ? C : channels_; }
    IN_PLACE V noisy(int other, int j, int c) const {
        return V::all(noisy_[std::ptrdiff_t(j + other) * channels() + c]);
    }
    IN_PLACE V clean(int j, int c) const {
        return Stored::get(clean_ + (std::ptrdiff_t(j) * channels() + c) * Stored::size);
    }

  private:
    int channels_;
    const typename Stored::Unit* clean_;
    const T* noisy_;
};

// Σ_c (φ_c/√ᾱ − x_c)² less its centre at the places of one row.
template <class T, class Stored, int C, int G> class Difference {
    using V = Pair<T>;

  public:
    Difference(const Question<T>& question, const T* noisy, const Block<T, Stored>& block,
               const Place& at, int step, int g)
        : row_(question, noisy, block, at, step, g),
          centre_(V::all(-centre<T, Stored>(question, at.sample))) {}

    IN_PLACE void operator()(int j, V* squares) const {
        for (int c = 0; c < row_.channels(); ++c) {
            const V clean = row_.clean(j, c);
            for (int other = 0; other < G; ++other) {
                const V apart = row_.noisy(other, j, c) - clean;
                squares[other] = V::fused(apart, apart, c ? squares[other] : centre_);
            }
        }
    }

  private:
    Places<T, Stored, C, G> row_;
    V centre_;
};
