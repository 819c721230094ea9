// How sure two pixels are together of an image: the entropy of softmax_i(E_u(i) + E_y(i)) (theory 4.3).
#pragma once

// For pairs (u, y) of pixels: the largest sum E_u(i) + E_y(i), how far below it the second largest is, and over
// all images but the best Σ e^−d and Σ (gap + d) e^−d, where d is how far below the second a sum is. Powers of
// two are found to 12 digits.
template <class T> struct PairWork {
    using V = Lanes<T>;
    static constexpr int lanes = V::count, degree = 10;
    static constexpr T nothing = 70;  // bits below which a sum counts for less than a rounding

    const PairQuestion<T>& question;
    std::int64_t padded;
    Buffer<T> rows;          // E less the largest of its pixel, / ln 2 [P, padded]
    std::vector<T> largest;  // the largest E of each pixel
    int side, tiles;         // pixels of a tile, and tiles along each axis

    explicit PairWork(const PairQuestion<T>& q)
        : question(q),
          padded((std::int64_t(q.count) + lanes - 1) / lanes * lanes),
          rows(std::size_t(q.pixels) * padded),
          largest(q.pixels),
          side(std::max<int>(1, std::min<int>(q.pixels, int(32768 / padded)))),
          tiles((q.pixels + side - 1) / side) {
        rows.fill(static_cast<T>(never));
        for (int u = 0; u < q.pixels; ++u) {
            const T *from = q.evidence + std::size_t(u) * q.count, *end = from + q.count;
            largest[u] = *std::max_element(from, end);
            std::transform(from, end, rows.get() + u * padded, [&](T one) { return (one - largest[u]) / T(ln2); });
        }
    }

    static void run(void* self, std::int64_t unit) { static_cast<PairWork*>(self)->run_unit(unit); }

    void run_unit(std::int64_t unit) {
        const int first = int(unit / tiles) * side, other = int(unit % tiles) * side;
        if (other < first) return;  // the pair (u, y) is the pair (y, u)
        Buffer<T> sums(padded);
        std::vector<int> chosen(padded / lanes + 1);
        for (int u = first; u < std::min(first + side, question.pixels); ++u)
            for (int y = std::max(u, other); y < std::min(other + side, question.pixels); ++y)
                take(u, y, sums.get(), chosen.data());
    }

    APART void take(int u, int y, T* sums, int* chosen) {
        const T *one = rows.get() + u * padded, *other = rows.get() + y * padded;
        V firsts = V::all(static_cast<T>(4 * never)), seconds = firsts;
        for (std::int64_t j = 0; j < padded; j += lanes) {
            const V sum = V::load(one + j) + V::load(other + j);
            sum.store(sums + j);
            seconds = V::larger(seconds, V::smaller(firsts, sum));
            firsts = V::larger(firsts, sum);
        }
        alignas(64) T ordered[2 * lanes];
        firsts.store(ordered);
        seconds.store(ordered + lanes);
        T best = ordered[0], second = static_cast<T>(4 * never);
        for (int lane = 1; lane < 2 * lanes; ++lane) {
            second = std::max(second, std::min(best, ordered[lane]));
            best = std::max(best, ordered[lane]);
        }
        if (question.count == 1) second = best;
        const V next = V::all(second), floor = V::all(second - nothing);
        int count = 0;
        for (int at = 0; at < padded / lanes; ++at) {
            chosen[count] = at;
            count += V::any_above(V::load(sums + at * lanes), floor);
        }
        V rest = V::all(T(0)), below = rest;
        for (int some = 0; some < count; ++some) {
            const V sum = V::load(sums + chosen[some] * lanes);
            const V apart = V::larger(V::smaller(sum, next), floor) - next, n = V::rounded(apart);
            const V weight = V::times_power(polynomial<T, degree>(apart - n), n);
            rest = rest + weight;
            below = V::less(apart, weight, below);
        }
        rest.store(ordered);
        below.store(ordered + lanes);
        // The best counts as one more that is as large as the second.
        const T others = T(across<T>(ordered) - 1), gap = best - second;
        const T gaps = gap * others + T(across<T>(ordered + lanes));
        put(u, y, {T(ln2) * best + (largest[u] + largest[y]), T(ln2) * gap, others, T(ln2) * gaps});
    }

    void put(int u, int y, std::initializer_list<T> found) {
        T* table = question.tables;
        for (const T value : found) {
            table[std::size_t(u) * question.pixels + y] = table[std::size_t(y) * question.pixels + u] = value;
            table += std::size_t(question.pixels) * question.pixels;
        }
    }
};

template <class T> void pairs(const PairQuestion<T>& question) {
    PairWork<T> work(question);
    in_parallel(std::int64_t(work.tiles) * work.tiles, question.threads, &PairWork<T>::run, &work);
}
