// Squared differences between a noisy image and those of a block, at one displacement or two.
#pragma once

// What is taken from the squared differences of all channels of a pixel, in the scale of what is stored.
// Nothing in double precision, which has digits to spare, nor where the best sources are kept: there a
// perfect fit is exactly 0, and told apart from one that is almost perfect. Nor for the smallest windows,
// whose sums lose little: they are then the same to the last bit whether sources are kept or not.
template <class T, class Stored> T centre(const Question<T>& question, int sample) {
    const double scale = -question.scale[sample];
    const bool exact = std::is_same_v<T, double> || question.best > 0 || question.window < 5;
    if (exact || scale < 1e-20) return 0;
    return static_cast<T>(question.channels * double(Stored::scale) * Stored::scale / (2 * scale));
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

  protected:
    Places(const Question<T>& question, const T* noisy, const Block<T, Stored>& block, const Place& at,
           int step, int g)
        : channels_(C ? C : question.channels),
          plane_(std::size_t(question.noisy_height) * question.noisy_width) {
        const int row = at.first + step;
        const std::size_t line = std::size_t(at.run.query + row) * question.noisy_width;
        for (int other = 0; other < G; ++other)
            noisy_[other] = noisy + at.sample * channels_ * plane_ + line +
                            at.group.runs[g + other].query;
        clean_ = block.framed(at.run.source + row, at.group.runs[g].source);
    }

    IN_PLACE V noisy(int other, int j, int c) const { return V::all(noisy_[other][c * plane_ + j]); }
    IN_PLACE V clean(int j, int c) const {
        return Stored::get(clean_ + (std::size_t(j) * (C ? C : channels_) + c) * Stored::size);
    }

    int channels_;

  private:
    std::size_t plane_;
    const T* noisy_[G];
    const typename Stored::Unit* clean_;
};

// Σ_c (φ_c/√ᾱ − x_c)² less its centre at the places of one row.
template <class T, class Stored, int C, int G> class Difference : Places<T, Stored, C, G> {
    using V = Pair<T>;

  public:
    Difference(const Question<T>& question, const T* noisy, const Block<T, Stored>& block,
               const Place& at, int step, int g)
        : Places<T, Stored, C, G>(question, noisy, block, at, step, g),
          centre_(V::all(-centre<T, Stored>(question, at.sample))) {}

    IN_PLACE void operator()(int j, V* squares) const {
        const int channels = C ? C : this->channels_;
        for (int c = 0; c < channels; ++c) {
            const V clean = this->clean(j, c);
            for (int other = 0; other < G; ++other) {
                const V apart = this->noisy(other, j, c) - clean;
                squares[other] = V::fused(apart, apart, c ? squares[other] : centre_);
            }
        }
    }

  private:
    V centre_;
};
