// What becomes of the log-weights of all pairs: the gradient in φ (theory 2.8, 4.9).
#pragma once

// For one displacement, what the pixels of a row pull is spread over their windows: down in columns, whose
// sums take in one row and lose another, then along the row, where it meets the shifted images. Sums are kept
// in the lanes at every pixel of the noisy image, as means are in `PosteriorSink`.
template <class T, class Stored, int C> class GradientSink {
    using V = Pair<T>;
    using One = Lanes<T>;
    using Unit = typename Stored::Unit;
    static constexpr int lanes = V::count;

  public:
    static constexpr bool sifts = false, ends = true;
    static constexpr int together = 2;

    GradientSink(const Question<T>& question, const Pulls<T>& pulls, int sample, const std::vector<double>& lifts)
        : question_(question),
          pulls_(pulls),
          sample_(sample),
          lifts_(lifts),
          channels_(C ? C : question.channels),
          k_(question.window),
          radius_(question.window / 2),
          pixels_(question.height * question.width),
          periodic_(question.noisy_height != question.height + question.window - 1),
          across_(periodic_ ? question.width
                            : std::max(question.noisy_width, question.width + 2 * radius_) + group_size),
          line_(std::size_t(question.width + 2 * (k_ + group_size) + group_size) * lanes),
          colours_(std::size_t(pixels_) * channels_),
          fields_(std::size_t(pixels_) * 3 * lanes),
          rows_(group_size * k_ * line_),
          columns_(group_size * line_),
          sums_(std::size_t(question.height) * across_ * (channels_ + 1) * One::count) {
        rows_.fill(0);
        columns_.fill(0);
        sums_.fill(0);
        const std::size_t first = std::size_t(sample) * pixels_;
        for (int u = 0; u < pixels_; ++u)
            for (int c = 0; c < channels_; ++c)
                colours_[std::size_t(u) * channels_ + c] = static_cast<T>(
                    pulls.direction[first * channels_ + std::size_t(c) * pixels_ + u] / double(Stored::scale) *
                    (pulls.of_images ? 1 : pulls.gain[first + u]));
    }

    // Lays out level, gain and offset of the images first .. first + present; the others pull nothing.
    void lay(int first, int present) {
        const bool again = !pulls_.of_images && present == laid_;
        laid_ = present;
        if (again) return;
        for (int lane = 0; lane < lanes; ++lane) {
            const std::size_t image = std::size_t(sample_) * question_.count + first + lane;
            const std::size_t from = (pulls_.of_images ? image : std::size_t(sample_)) * pixels_;
            for (int u = 0; u < pixels_; ++u) {
                T* to = fields_.get() + std::size_t(u) * 3 * lanes + lane;
                const bool here = lane < present;
                to[0] = here ? static_cast<T>((pulls_.level[from + u] - lifts_[u]) / ln2) : T(0);
                to[lanes] = here ? (pulls_.of_images ? static_cast<T>(pulls_.gain[from + u]) : T(1)) : T(0);
                to[2 * lanes] = here ? static_cast<T>(pulls_.offset[from + u]) : T(0);
            }
        }
    }

    template <class Laid>
    void row(const Laid& block, const Group& group, int pixel_row, int source_row, const T* const* lines) {
        bool any = false;
        for (int g = 0; g < group.size; ++g) any |= pull(block, group, g, pixel_row, source_row, lines[g]);
        last_pixel_row_ = pixel_row;
        last_source_row_ = source_row;
        slot_ = slot_ + 1 == k_ ? 0 : slot_ + 1;
        if (any)
            live_ = k_;
        else if (live_ > 0 && --live_ == 0)
            columns_.fill(0);  // of what rounding has left
        if (live_ > 0) spread(block, group, 0);
    }

    // The windows of the last rows reach further down.
    template <class Laid> void end(const Laid& block, const Group& group) {
        if (live_ > 0) {
            for (int more = 1; more < k_; ++more) {
                for (int g = 0; g < group.size; ++g) leave(group, g);
                slot_ = slot_ + 1 == k_ ? 0 : slot_ + 1;
                spread(block, group, more);
            }
            for (int g = 0; g < group.size; ++g) leave(group, g);
        }
        columns_.fill(0);
        slot_ = live_ = 0;
    }

    // Σ c x and Σ c at one pixel.
    void read(int pixel, double* sums) const {
        const std::size_t place = std::size_t(pixel / question_.width) * across_ + pixel % question_.width +
                                  (periodic_ ? 0 : radius_);
        const T* from = sums_.get() + place * (channels_ + 1) * One::count;
        for (int c = 0; c < channels_; ++c)
            sums[c] = across<T>(from + (c + 1) * One::count) / double(Stored::scale);
        sums[channels_] = across<T>(from);
    }

  private:
    T* ring(int g) { return rows_.get() + (std::size_t(g) * k_ + slot_) * line_; }
    // Sums of columns of one displacement, with zeros on both sides.
    T* column(int g) { return columns_.get() + g * line_ + std::size_t(k_ + group_size) * lanes; }

    // What the pixels of a row pull, in place of what was pulled k rows above.
    template <class Laid>
    APART bool pull(const Laid& block, const Group& group, int g, int pixel_row, int source_row, const T* line) {
        const Run run = group.runs[g];
        const int width = question_.width, channels = C ? C : channels_;
        const Unit* values = block.values(source_row, run.source);
        const T* logs = line + std::size_t(group.offset(g)) * lanes;
        const T* fields = fields_.get() + std::size_t(pixel_row) * width * 3 * lanes;
        const T* colours = colours_.data() + std::size_t(pixel_row) * width * channels;
        T *slot = ring(g), *sums = column(g);
        const One floor = One::all(static_cast<T>(-question_.depth / ln2));
        const V zero = V::all(T(0));
        bool any = false;
        int u = run.query % width;
        for (int j = 0; j < run.length; ++j) {
            const T* field = fields + std::size_t(u) * 3 * lanes;
            const V apart = V::load(logs + std::size_t(j) * lanes) - V::load(field);
            V pulled = zero;
            if (One::any_above(apart.largest_of_both(), floor)) {
                any = true;
                V along = zero;
                for (int c = 0; c < channels; ++c) {
                    const V colour = V::all(colours[std::ptrdiff_t(u) * channels + c]);
                    along = V::fused(colour, Stored::get(values + (std::ptrdiff_t(j) * channels + c) * Stored::size),
                                     along);
                }
                along = V::fused(V::load(field + lanes), along, V::load(field + 2 * lanes));
                pulled = V{power_of_two<T>(apart.first), power_of_two<T>(apart.second)} * along;
            }
            (V::load(sums + j * lanes) + (pulled - V::load(slot + j * lanes))).store(sums + j * lanes);
            pulled.store(slot + j * lanes);
            if (++u == width) u = 0;
        }
        return any;
    }

    // Takes what was pulled k rows above out of the sums of columns.
    void leave(const Group& group, int g) {
        T *slot = ring(g), *sums = column(g);
        for (int j = 0; j < group.runs[g].length; ++j) {
            (V::load(sums + j * lanes) - V::load(slot + j * lanes)).store(sums + j * lanes);
            V::all(T(0)).store(slot + j * lanes);
        }
    }

    // Adds the sums over windows, times the images there, to the topmost row that the last window sees.
    template <class Laid> void spread(const Laid& block, const Group& group, int below) {
        int row = last_pixel_row_ - radius_ + below;
        if (periodic_) row = (row + question_.height) % question_.height;
        if (row < 0 || row >= question_.height) return;
        const Unit* clean[group_size];
        for (int g = 0; g < group.size; ++g)
            clean[g] = block.framed(last_source_row_ + below, group.runs[g].source - group.offset(g));
        int first = group.first;
        if (periodic_) first = (group.first - radius_ + question_.width) % question_.width;
        T* sums = sums_.get() + std::size_t(row) * across_ * (channels_ + 1) * One::count;
        if (group.size == 2)
            add<2>(group, clean, sums, first);
        else
            add<1>(group, clean, sums, first);
    }

    template <int G> APART void add(const Group& group, const Unit* const* clean, T* sums, int place) {
        const int channels = C ? C : channels_, end = group.extent + k_ - 1, across = across_;
        const std::size_t step = std::size_t(channels + 1) * One::count;
        const std::ptrdiff_t back = std::ptrdiff_t(k_) * lanes;
        const T* columns[G];
        const Unit* values[G];
        V windows[G];
        for (int g = 0; g < G; ++g) {
            columns[g] = column(g) - std::ptrdiff_t(group.offset(g)) * lanes;
            values[g] = clean[g];
            windows[g] = V::all(T(0));
        }
        for (int t = 0; t < end; ++t) {
            T* here = sums + place * step;
            One total = One::load(here);
            for (int g = 0; g < G; ++g) {
                const T* now = columns[g] + std::ptrdiff_t(t) * lanes;
                windows[g] = windows[g] + (V::load(now) - V::load(now - back));
                total = total + (windows[g].first + windows[g].second);
            }
            total.store(here);
            for (int c = 0; c < channels; ++c) {
                T* sum = here + (c + 1) * One::count;
                One added = One::load(sum);
                for (int g = 0; g < G; ++g) {
                    const V value = Stored::get(values[g] + (std::ptrdiff_t(t) * channels + c) * Stored::size);
                    added = One::fused(windows[g].first, value.first, added);
                    added = One::fused(windows[g].second, value.second, added);
                }
                added.store(sum);
            }
            if (++place == across) place = 0;
        }
    }

    const Question<T>& question_;
    const Pulls<T>& pulls_;
    const int sample_;
    const std::vector<double>& lifts_;
    const int channels_, k_, radius_, pixels_;
    const bool periodic_;    // whether the noisy image goes on at its other side
    const int across_;       // places of a row of sums
    const std::size_t line_;  // numbers of a row
    int laid_ = -1, slot_ = 0, live_ = 0, last_pixel_row_ = 0, last_source_row_ = 0;
    std::vector<T> colours_;  // g [H, W, C]
    Buffer<T> fields_;        // level, gain and offset [H, W, 3, lanes]
    Buffer<T> rows_;          // what was pulled in the last k rows
    Buffer<T> columns_, sums_;
};
