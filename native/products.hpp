// Patch distances by products: −λ|q − p|² is 2λ q·p − λ|p|², but for −λ|q|², which is the same for all
// patches p and added when all is summed up.
//
// That halves the arithmetic of a difference, and as these terms have no sign that matters, windows slide:
// what comes in is added, and what goes out taken away again. Both lose digits where −λ|q − p|² is small
// beside its parts, so this is for noise, where λ is small.
#pragma once

#include "block.hpp"
#include "differences.hpp"
#include "sieve.hpp"

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

// (2λ q·p − λ|p|²) / ln 2 at the places of one row, as `Difference` has its squares. Where windows are whole,
// less that at the row which leaves them.
template <class T, class Stored, int C, int G, bool whole> class Product {
    using V = Pair<T>;
    using Row = Places<T, Stored, C, G>;

  public:
    Product(const Question<T>& question, const T* noisy, const Block<T, Stored>& block, const Place& at,
            int g)
        : enters_(question, noisy, block, at, 0, g),
          leaves_(question, noisy, block, at, whole ? -question.window : 0, g) {
        const int row = at.run.source + at.first, column = at.group.runs[g].source;
        norms_ = whole ? block.risen(row, column) : block.norms(row, column);
    }

    using All = Beside<V, G>;

    IN_PLACE All operator()(int j) const {
        All all = All::all(V::load(norms_ + std::size_t(j) * V::count));
        for (int c = 0; c < enters_.channels(); ++c)
            all = All::fused([&](int g) { return enters_.noisy(g, j, c); }, enters_.clean(j, c), all);
        for (int c = 0; whole && c < enters_.channels(); ++c)
            all = All::less([&](int g) { return leaves_.noisy(g, j, c); }, leaves_.clean(j, c), all);
        return all;
    }

  private:
    Row enters_, leaves_;
    const T* norms_;
};

// Nothing, where a row has been added already.
template <class T, int G> struct Settled {
    using All = Beside<Pair<T>, G>;
};

// How windows slide over the products: down in their columns, whose sums take in one row and lose another,
// then along the row. Products that leave are computed again: to keep them costs a store and a load each, of
// more than the first cache holds.
template <class T, class Stored> class Products {
    using V = Pair<T>;
    static constexpr int lanes = V::count;

  public:
    explicit Products(const Question<T>& question)
        : question_(question),
          line_(std::size_t(question.width + 2 * question.frame + group_size) * lanes),
          columns_(group_size * line_) {}

    // Moves the windows of the displacements of a group down by one row. Those that are whole leave their
    // log₂-weights, and what is in `bases`, in `windows`, and are shown to a sieve, where there is one.
    APART void advance(const T* noisy, const Block<T, Stored>& block, const Place& at, const T* bases,
                 T* const* windows, const Sieve<T>* sieve) {
        if constexpr (std::is_same_v<T, float>) {  // see `by_products`
            if (at.first == 0) columns_.fill(0);
            if (sieve)
                advance_with(noisy, block, at, bases, windows, *sieve);
            else
                advance_with(noisy, block, at, bases, windows, NoSieve());
        }
    }

  private:
    template <class Sieve>
    void advance_with(const T* noisy, const Block<T, Stored>& block, const Place& at, const T* bases,
                      T* const* windows, const Sieve& sieve) {
        for (int g = 0; g < at.group.size; g += at.group.alike(g)) {
            const Row row{noisy, block, at, bases + g * lanes, windows + g, g};
            if (at.group.alike(g) == 2)
                move<2>(row, sieve);
            else
                move<1>(row, sieve);
        }
    }

    struct Row {  // of the displacements from the g-th of a group on
        const T* noisy;
        const Block<T, Stored>& block;
        const Place& at;
        const T* bases;
        T* const* windows;
        int g;
    };

    template <int G, class Sieve> void move(const Row& row, const Sieve& sieve) {
        switch (question_.channels) {
            case 1: return move<1, G>(row, sieve);
            case 3: return move<3, G>(row, sieve);
            default: return move<0, G>(row, sieve);
        }
    }

    template <int C, int G, class Sieve> void move(const Row& row, const Sieve& sieve) {
        const int k = question_.window, first = row.at.first;
        if (first >= k)
            return slide<G>(Product<T, Stored, C, G, true>(question_, row.noisy, row.block, row.at, row.g), row, sieve);
        gather<G>(Product<T, Stored, C, G, false>(question_, row.noisy, row.block, row.at, row.g), row);
        if (first == k - 1) slide<G>(Settled<T, G>(), row, sieve);
    }

    // Moves the sums of one column down by one row.
    template <class Product> IN_PLACE static auto renewed(const Product& product, int j, T* column) {
        const auto sums = Product::All::load(column) + product(j);
        sums.store(column);
        return sums;
    }
    template <int G> IN_PLACE static auto renewed(const Settled<T, G>&, int, T* column) {
        return Settled<T, G>::All::load(column);
    }

    // Adds a row to the sums of columns, of windows that are not whole yet.
    template <int G, class Product> APART void gather(const Product& given, const Row& row) {
        const auto product = given;  // in registers, which no store can change
        T* columns = columns_.get() + row.g * line_;
        const int end = row.at.group.runs[row.g].length + question_.window - 1;
        for (int j = 0; j < end; ++j) renewed(product, j, columns + j * G * lanes);
    }

    // Moves the windows of G displacements, side by side in memory, along the row.
    template <int G, class Product, class Sieve>
    APART void slide(const Product& given, const Row& row, const Sieve& sieve) {
        const auto product = given;
        const int k = question_.window, length = row.at.group.runs[row.g].length;
        T *columns = columns_.get() + row.g * line_, *latest = columns + (k - 1) * G * lanes;
        T* out[G];
        std::copy(row.windows, row.windows + G, out);
        auto sums = Beside<V, G>::load(row.bases);
        for (int j = 0; j < k - 1; ++j) sums = sums + renewed(product, j, columns + j * G * lanes);
        auto show = sieve.template from<G>(row.g);
        auto now = renewed(product, k - 1, latest);
        // What the next place needs is begun before this one is finished: chains of operations are long.
        const auto pass = [&](int j, auto more) {
            const auto window = sums + now;
            if constexpr (more) now = renewed(product, j + k, latest + (j + 1) * G * lanes);
            sums = window - Beside<V, G>::load(columns + j * G * lanes);
            window.store(out, std::ptrdiff_t(j) * lanes);
            show(j, window);
        };
        for (int first = 0; first < length; first += 64) {
            const int end = std::min(first + 64, length);
            for (int j = first; j < end - 1; ++j) pass(j, std::true_type{});
            if (end < length)
                pass(end - 1, std::true_type{});
            else
                pass(end - 1, std::false_type{});
            show.write(first);
        }
    }

    const Question<T>& question_;
    const std::size_t line_;
    Buffer<T> columns_;
};
