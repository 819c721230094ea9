// Sources with a width: log-weights by products, and the sums over them, in one go (theory 2.9).
// Nothing is held for all pairs. Each pixel's sums are added up source by source in an order of
// their own, so they have the same bits whatever pixels lie beside it.
#pragma once

// Rows and columns of a tile, whose sums stay in registers, and tiles that share the columns.
constexpr int tile_rows = 6, tile_vectors = 2, tiles_of_unit = 8;
// Sources that are gone through for several rows at a time.
constexpr int chunk_columns = 256;

// Σ_j left_j right_j − length of one tile, `[6, 2 vectors]`; follows the largest of each row.
template <class T>
APART void tile_products(const T* left, const T* right, const T* lengths, int length, T* to, T* most) {
    using V = Lanes<T>;
    V sum[tile_rows][tile_vectors];
    for (int vector = 0; vector < tile_vectors; ++vector) {
        const V less = V::all(T(0)) - V::load(lengths + vector * V::count);
#pragma GCC unroll 6
        for (int row = 0; row < tile_rows; ++row) sum[row][vector] = less;
    }
#pragma GCC unroll 4
    for (int j = 0; j < length; ++j, left += tile_rows, right += tile_vectors * V::count) {
        const V first = V::load(right), second = V::load(right + V::count);
#pragma GCC unroll 6
        for (int row = 0; row < tile_rows; ++row) {
            const V each = V::all(left[row]);
            sum[row][0] = V::fused(each, first, sum[row][0]);
            sum[row][1] = V::fused(each, second, sum[row][1]);
        }
    }
#pragma GCC unroll 6
    for (int row = 0; row < tile_rows; ++row) {
        sum[row][0].store(to + row * chunk_columns);
        sum[row][1].store(to + row * chunk_columns + V::count);
        T* largest = most + row * V::count;
        V::larger(V::load(largest), V::larger(sum[row][0], sum[row][1])).store(largest);
    }
}

template <class T> inline double sum_of(Lanes<T> value) {
    alignas(64) T lanes[Lanes<T>::count];
    value.store(lanes);
    double total = 0;
    for (const T lane : lanes) total += lane;
    return total;
}

// What one pixel has summed so far, below a reference that follows the largest log-weight.
struct Running {
    double reference;  // in powers of two
    std::vector<double> by_scale, colour;
};

template <class T> class SmoothWork {
    using V = Lanes<T>;
    static constexpr int columns_of_tile = tile_vectors * V::count;

  public:
    SmoothWork(const SmoothQuestion<T>& question, const SmoothAnswer& answer)
        : q_(question),
          answer_(answer),
          columns_((std::int64_t(question.sources) + columns_of_tile - 1) / columns_of_tile *
                   columns_of_tile),
          right_(std::size_t(columns_) * question.length),
          lengths_(std::size_t(columns_) * question.scales),
          colours_(std::size_t(columns_) * question.scales * question.channels),
          depth_(std::log2(double(question.sources) * question.scales) + Precision<T>::digits) {}

    // How the sources are laid out: units of one chunk.
    std::int64_t chunks() const { return (columns_ + chunk_columns - 1) / chunk_columns; }
    std::int64_t units() const {
        const int rows = tile_rows * tiles_of_unit;
        return (q_.pixels + rows - 1) / rows;
    }
    static void lay(void* self, std::int64_t unit) { static_cast<SmoothWork*>(self)->lay_chunk(unit); }
    static void run(void* self, std::int64_t unit) { static_cast<SmoothWork*>(self)->run_unit(unit); }

  private:
    void lay_chunk(std::int64_t chunk) {
        const std::int64_t first = chunk * chunk_columns;
        const std::int64_t last = std::min(first + chunk_columns, columns_);
        for (std::int64_t start = first; start < last; start += columns_of_tile) {
            T* to = right_.get() + start * q_.length;
            for (int lane = 0; lane < columns_of_tile; ++lane) {
                const bool there = start + lane < q_.sources;
                const T* from = q_.projected + (start + lane) * q_.length;
                for (int j = 0; j < q_.length; ++j) to[j * columns_of_tile + lane] = there ? from[j] : T(0);
            }
        }
        for (int s = 0; s < q_.scales; ++s)
            for (std::int64_t m = first; m < last; ++m) {
                const bool there = m < q_.sources;
                const std::int64_t source = std::int64_t(s) * q_.sources + m;
                lengths_.get()[s * columns_ + m] =
                    there ? T(q_.lengths[source] * log2_of_e) : T(-never);
                for (int c = 0; c < q_.channels; ++c)
                    colours_.get()[(std::int64_t(s) * q_.channels + c) * columns_ + m] =
                        there ? q_.colours[source * q_.channels + c] : T(0);
            }
    }

    void run_unit(std::int64_t unit) {
        const int first = int(unit) * tile_rows * tiles_of_unit;
        const int rows = std::min(tile_rows * tiles_of_unit, q_.pixels - first);
        const int tiles = (rows + tile_rows - 1) / tile_rows;
        Buffer<T> left(std::size_t(q_.scales) * tiles * q_.length * tile_rows);
        Buffer<T> logs(tile_rows * chunk_columns), most(tile_rows * V::count);
        lay_left(first, rows, tiles, left.get());
        const Running none{never, std::vector<double>(q_.scales, 0.0), std::vector<double>(q_.channels, 0.0)};
        std::vector<Running> running(rows, none);
        for (std::int64_t start = 0; start < columns_; start += chunk_columns) {
            const int count = int(std::min<std::int64_t>(chunk_columns, columns_ - start));
            for (int s = 0; s < q_.scales; ++s)
                for (int tile = 0; tile < tiles; ++tile) {
                    const T* from = left.get() + (std::int64_t(s) * tiles + tile) * q_.length * tile_rows;
                    const T* lengths = lengths_.get() + s * columns_ + start;
                    most.fill(T(never));
                    for (int column = 0; column < count; column += columns_of_tile)
                        tile_products<T>(from, right_.get() + (start + column) * q_.length,
                                         lengths + column, q_.length, logs.get() + column, most.get());
                    const int last = std::min(tile_rows, rows - tile * tile_rows);
                    for (int row = 0; row < last; ++row) {
                        const int at = tile * tile_rows + row;
                        const double highest = V::load(most.get() + row * V::count).largest();
                        T* of_row = logs.get() + row * chunk_columns;
                        add(running[at], of_row, highest, {s, first + at, start, count});
                    }
                }
        }
        for (int row = 0; row < rows; ++row) write(first + row, running[row]);
    }

    // Rows side by side, in powers of two; missing ones are zero.
    void lay_left(int first, int rows, int tiles, T* to) const {
        std::fill(to, to + std::int64_t(q_.scales) * tiles * q_.length * tile_rows, T(0));
        for (int s = 0; s < q_.scales; ++s)
            for (int row = 0; row < rows; ++row) {
                const T* from = q_.left + (std::int64_t(first + row) * q_.scales + s) * q_.length;
                T* tile = to + (std::int64_t(s) * tiles + row / tile_rows) * q_.length * tile_rows;
                for (int j = 0; j < q_.length; ++j)
                    tile[j * tile_rows + row % tile_rows] = T(from[j] * log2_of_e);
            }
    }

    // Some sources of one scale before one pixel.
    struct Chunk {
        int scale, pixel;
        std::int64_t start;
        int count;
    };

    // Adds the sources of one chunk, given their log-weights below the level, to what a pixel has.
    void add(Running& running, T* logs, double highest, const Chunk& chunk) const {
        const auto [scale, pixel, start, count] = chunk;
        const double level = q_.level[std::int64_t(pixel) * q_.scales + scale] * log2_of_e;
        highest += level;
        if (highest <= running.reference - depth_) return;
        if (highest > running.reference) {
            const double share = std::exp2(running.reference - highest);
            for (double& each : running.by_scale) each *= share;
            for (double& each : running.colour) each *= share;
            running.reference = highest;
        }
        const V reference = V::all(T(running.reference - level));
        const V least = V::all(T(running.reference - level - depth_));
        V total = V::all(T(0));
        for (int m = 0; m < count; m += V::count) {
            const V each = V::load(logs + m);
            V weight = V::all(T(0));
            if (V::any_above(each, least)) weight = power_of_two<T>(each - reference);
            total = total + weight;
            weight.store(logs + m);
        }
        running.by_scale[scale] += sum_of<T>(total);
        for (int c = 0; c < q_.channels; ++c) {
            const T* colours = colours_.get() + (std::int64_t(scale) * q_.channels + c) * columns_ + start;
            V sum = V::all(T(0));
            for (int m = 0; m < count; m += V::count)
                sum = V::fused(V::load(logs + m), V::load(colours + m), sum);
            running.colour[c] += sum_of<T>(sum);
        }
    }

    void write(int pixel, const Running& running) const {
        double total = 0;
        for (const double each : running.by_scale) total += each;
        answer_.log_weight[pixel] = (running.reference + std::log2(total)) / log2_of_e;
        for (int s = 0; s < q_.scales; ++s)
            answer_.share[std::int64_t(pixel) * q_.scales + s] = running.by_scale[s] / total;
        for (int c = 0; c < q_.channels; ++c)
            answer_.colour[std::int64_t(pixel) * q_.channels + c] = running.colour[c] / total;
    }

    const SmoothQuestion<T>& q_;
    const SmoothAnswer& answer_;
    const std::int64_t columns_;  // sources, with those that fill the last tile
    Buffer<T> right_;             // by tile: [d, columns of a tile]
    Buffer<T> lengths_, colours_;  // [S, columns] in powers of two, [S, C, columns]
    const double depth_;  // log-weights this far below the largest count for nothing
};

template <class T> void smooth(const SmoothQuestion<T>& question, const SmoothAnswer& answer) {
    using Work = SmoothWork<T>;
    Work work(question, answer);
    in_parallel(work.chunks(), question.threads, &Work::lay, &work);
    in_parallel(work.units(), question.threads, &Work::run, &work);
}
