// Patch distances by products: −λ|q − p|² is 2λ q·p − λ|p|², but for −λ|q|², which is the same for all
// patches p and added when all is summed up.
//
// That halves the arithmetic of a difference, and as these terms have no sign that matters, windows slide:
// what comes in is added, and what goes out taken away again. Both lose digits where −λ|q − p|² is small
// beside its parts, so this is for noise, where λ is small.
#pragma once

#include "block.hpp"
#include "differences.hpp"

// Whether products are taken for a noisy image. Never in double precision, nor where the best sources are
// kept or windows are small, for which see `centre`; nor where a few displacements would not repay the norms.
// A log-weight is a sum of terms that add up to λ C k² at most, where values are in [-1, 1], and every
// row and column that a window has slid over has rounded it once more.
template <class T, class Stored> bool by_products(const Question<T>& question, int sample) {
    const bool exact = std::is_same_v<T, double> || question.best > 0 || question.window < 5;
    if (exact || few_displacements(question)) return false;
    const double terms = double(question.channels) * question.window * question.window;
    const double roundings = std::sqrt(double(question.height + question.width)) * 0x1p-24;
    return -question.scale[sample] * terms * roundings <= question.rounding;
}

// What noisy values are multiplied by before they meet those that are stored.
template <class T, class Stored> double noisy_factor(const Question<T>& question, int sample) {
    if (!by_products<T, Stored>(question, sample)) return Stored::scale;
    return -2 * question.scale[sample] / (ln2 * Stored::scale);
}

// What is to be added to the log-weights of all pairs of each pixel [H, W]: −λ|q|², or what `centre` took.
template <class T, class Stored> std::vector<double> lifts(const Question<T>& question, int sample) {
    const int height = question.height, width = question.width, k = question.window;
    const double scale = question.scale[sample], square = double(Stored::scale) * Stored::scale;
    if (!by_products<T, Stored>(question, sample))
        return std::vector<double>(std::size_t(height) * width,
                                   scale * k * k * double(centre<T, Stored>(question, sample)) / square);
    std::vector<double> found(std::size_t(height) * width, 0.0), along(question.noisy_width);
    const std::size_t plane = std::size_t(question.noisy_height) * question.noisy_width;
    const T* noisy = question.noisy + sample * question.channels * plane;
    for (int row = 0; row < height + k - 1; ++row) {
        std::fill(along.begin(), along.end(), 0.0);
        for (int c = 0; c < question.channels; ++c)
            for (int j = 0; j < width + k - 1; ++j) {
                const double value = noisy[c * plane + std::size_t(row) * question.noisy_width + j];
                along[j] += scale * value * value;
            }
        for (int j = 0; j < width; ++j) {
            const double sum = std::accumulate(&along[j], &along[j] + k, 0.0);
            for (int up = std::max(0, row - k + 1); up <= std::min(row, height - 1); ++up)
                found[std::size_t(up) * width + j] += sum;
        }
    }
    return found;
}

// (2λ q·p − λ|p|²) / ln 2 at the places of one row, as `Difference` has its squares.
template <class T, class Stored, int C, int G> class Product : Places<T, Stored, C, G> {
    using V = Pair<T>;

  public:
    Product(const Question<T>& question, const T* noisy, const Block<T, Stored>& block, const Place& at,
            int g)
        : Places<T, Stored, C, G>(question, noisy, block, at, 0, g),
          norms_(block.norms(at.run.source + at.first, at.group.runs[g].source)) {}

    IN_PLACE void operator()(int j, V* products) const {
        const int channels = C ? C : this->channels_;
        const V norm = V::load(norms_ + std::size_t(j) * V::count);
        for (int c = 0; c < channels; ++c) {
            const V clean = this->clean(j, c);
            for (int other = 0; other < G; ++other)
                products[other] = V::fused(this->noisy(other, j, c), clean, c ? products[other] : norm);
        }
    }

  private:
    const T* norms_;
};

// Looks at log-weights as they come, at no more than the cost of comparing them; this one at none.
struct NoSieve {
    template <class V> IN_PLACE void operator()(int, int, V) {}
    IN_PLACE void write(int) {}
    template <int G> NoSieve from(int) const { return {}; }
};

// How windows slide over the products.
template <class T, class Stored> class Products {
    using V = Pair<T>;
    static constexpr int lanes = V::count;

  public:
    explicit Products(const Question<T>& question)
        : question_(question),
          line_(std::size_t(question.width + 2 * question.frame + group_size) * lanes),
          terms_(group_size * line_),
          rows_(group_size * question.window * line_),
          nothing_(line_) {
        nothing_.fill(0);
    }

    // Turns the log₂-weights of the windows that end in the row before, in `windows`, into those that end
    // in this one, and shows them to a sieve.
    template <int C, class Sieve>
    void advance(const T* noisy, const Block<T, Stored>& block, const Place& at, T* const* windows,
                 const Sieve& sieve) {
        if (at.first == 0) {
            for (int g = 0; g < at.group.size; ++g)
                std::fill(windows[g], windows[g] + at.group.runs[g].length * lanes, T(0));
        }
        if (at.group.size == 2 && at.group.alike())
            return slide<C, 2>({question_, noisy, block, at, 0}, at, 0, windows, sieve);
        for (int g = 0; g < at.group.size; ++g)
            slide<C, 1>({question_, noisy, block, at, g}, at, g, windows, sieve);
    }

  private:
    // For G displacements from the g-th of a group on.
    template <int C, int G, class Sieve>
    APART void slide(const Product<T, Stored, C, G>& given, const Place& at, int g, T* const* windows,
                     const Sieve& sieve) {
        const Product<T, Stored, C, G> product = given;  // in registers, which no store can change
        const int k = question_.window, length = at.group.runs[g].length;
        T *terms[G], *here[G], *out[G];
        const T* gone[G];
        V sums[G], now[G];
        for (int other = 0; other < G; ++other) {
            sums[other] = V::all(0);
            out[other] = windows[g + other];
            terms[other] = terms_.get() + (g + other) * line_;
            here[other] = rows_.get() + (std::size_t(g + other) * k + at.first % k) * line_;
            gone[other] = at.first < k ? nothing_.get() : here[other];
        }
        for (int j = 0; j < k - 1; ++j) {
            product(j, now);
            for (int other = 0; other < G; ++other) {
                now[other].store(terms[other] + j * lanes);
                sums[other] = sums[other] + now[other];
            }
        }
        auto show = sieve.template from<G>(g);
        for (int first = 0; first < length; first += 64) {
            const int end = std::min(first + 64, length);
            for (int j = first; j < end; ++j) {
                product(j + k - 1, now);
                const std::size_t place = std::size_t(j) * lanes;
                for (int other = 0; other < G; ++other) {
                    now[other].store(terms[other] + place + (k - 1) * lanes);
                    const V along = sums[other] + now[other];
                    sums[other] = along - V::load(terms[other] + place);
                    const V change = along - V::load(gone[other] + place);
                    along.store(here[other] + place);
                    const V window = V::load(out[other] + place) + change;
                    window.store(out[other] + place);
                    show(other, j, window);
                }
            }
            show.write(first);
        }
    }

    const Question<T>& question_;
    const std::size_t line_;
    Buffer<T> terms_, rows_, nothing_;
};
