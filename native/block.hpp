// Some training images laid out in the lanes of two vectors, with their margins, and their Π.
#pragma once

template <class T, class Stored> class Block {
    static constexpr int lanes = Pair<T>::count;
    using Unit = typename Stored::Unit;

  public:
    explicit Block(const Question<T>& question)
        : question_(question),
          framed_width_(question.width + 2 * question.frame),
          clean_(pixels() * question.channels * Stored::size + 2 * margin()),
          norms_(pixels() * lanes),
          risen_(pixels() * lanes),
          bias_(std::size_t(question.width) * question.height * lanes) {
        for (int byte = 0; byte < 256; ++byte) {
            if constexpr (std::is_same_v<Stored, Packed>) {
                units_[256 + byte] = Packed::upper(byte);
                units_[byte] = Packed::upper(byte) >> 16;
            } else {
                units_[byte] = T(byte) / T(127.5) - T(1);
            }
        }
    }

    // Lays out images first .. first+lanes; missing ones are given zeros and a bias of `never`.
    void take(int first) {
        first_ = first;
        present_ = std::min(lanes, question_.count - first);
        clean_.fill(0);
        for (int lane = 0; lane < present_; ++lane) take_image(first + lane, lane);
    }

    // Lays out Π_u(i) of one noisy image for the images taken; returns whether there is any.
    bool take_bias(int sample) {
        if (question_.bias == nullptr && present_ == lanes) return false;
        const int pixels = question_.height * question_.width;
        for (int lane = 0; lane < lanes; ++lane) {
            const std::size_t image = std::size_t(sample) * question_.count + first_ + lane;
            const T* from = question_.bias ? question_.bias + image * pixels : nullptr;
            for (int u = 0; u < pixels; ++u) {
                const T absent = static_cast<T>(never);
                bias_.get()[std::size_t(u) * lanes + lane] =
                    lane >= present_ ? absent : (from ? from[u] : T(0));
            }
        }
        return true;
    }

    // Lays out factor · |x_i|², pixel by pixel, and how much more it is than k rows above.
    void take_norms(T factor, int k) {
        const std::size_t above = std::size_t(k) * framed_width_ * lanes;
        const Unit* from = framed(0, 0);
        for (std::size_t place = 0; place < pixels() * lanes; place += lanes) {
            Pair<T> sum = Pair<T>::all(0);
            for (int c = 0; c < question_.channels; ++c, from += Stored::size) {
                const Pair<T> value = Stored::get(from);
                sum = Pair<T>::fused(value, value, sum);
            }
            const Pair<T> norm = sum * Pair<T>::all(factor);
            norm.store(norms_.get() + place);
            if (place >= above) (norm - Pair<T>::load(norms_.get() + place - above)).store(risen_.get() + place);
        }
    }

    // What `take_norms` laid out, [framed rows, framed columns, lanes], from one place on.
    const T* norms(int row, int column) const { return norms_.get() + place(row, column) * lanes; }
    const T* risen(int row, int column) const { return risen_.get() + place(row, column) * lanes; }
    // x_i of the images taken, [framed rows, framed columns, C, Stored::size], from one place on.
    const Unit* framed(int row, int column) const {
        return clean_.get() + margin() + place(row, column) * question_.channels * Stored::size;
    }
    // x_i(v), [C, Stored::size]. Past a border there are numbers too, for `group_size` pixels.
    const Unit* values(int row, int column) const {
        return framed(row + question_.frame, column + question_.frame);
    }
    // Π_u(i) of one row of pixels, [W, lanes].
    const T* bias(int row) const {
        return bias_.get() + std::size_t(row) * question_.width * lanes;
    }
    int first() const { return first_; }
    int present() const { return present_; }

  private:
    std::ptrdiff_t place(int row, int column) const { return std::ptrdiff_t(row) * framed_width_ + column; }
    std::size_t pixels() const {
        return std::size_t(framed_width_) * (question_.height + 2 * question_.frame);
    }
    std::size_t margin() const { return std::size_t(group_size) * question_.channels * Stored::size; }

    void take_image(int image, int lane) {
        const Question<T>& q = question_;
        const int height = q.height, width = q.width, frame = q.frame;
        const Unit* units = units_ + (lane < Stored::size ? 0 : 256);
        const std::size_t start = std::size_t(image) * q.channels * height * width;
        const std::ptrdiff_t step = std::ptrdiff_t(q.channels) * Stored::size;
        for (int c = 0; c < q.channels; ++c) {
            for (int r = -frame; r < height + frame; ++r) {
                const bool outside = r < 0 || r >= height;
                if (outside && !q.wrapped) continue;
                const int from = ((r % height) + height) % height;
                const std::size_t line = start + (std::size_t(c) * height + from) * width;
                Unit* to = clean_.get() + margin() +
                           (std::ptrdiff_t(r + frame) * framed_width_ + frame) * step + c * Stored::size;
                if constexpr (std::is_same_v<Stored, Packed>)
                    take_row(to + lane % Stored::size, step, [from = q.bytes + line, units](Unit* at, int w) {
                        *at |= units[from[w]];
                    });
                else if (q.bytes)
                    take_row(to + lane, step, [from = q.bytes + line, units](Unit* at, int w) {
                        *at = units[from[w]];
                    });
                else
                    take_row(to + lane, step, [from = q.values + line](Unit* at, int w) { *at = from[w]; });
            }
        }
    }

    // Calls put(to, column) for the columns of one row, and for those of its margins where it goes on there.
    template <class Put> void take_row(Unit* to, std::ptrdiff_t step, const Put& put) {
        const int width = question_.width, frame = question_.wrapped ? question_.frame : 0;
        for (int w = 0; w < width; ++w) put(to + w * step, w);
        for (int w = 1; w <= frame; ++w) {
            put(to - w * step, (width - w % width) % width);
            put(to + (width + w - 1) * step, (w - 1) % width);
        }
    }

    const Question<T>& question_;
    int framed_width_, first_ = 0, present_ = 0;
    Unit units_[512];  // what bytes are in the lower half of a word, or as values, and in the upper half
    Buffer<Unit> clean_;
    Buffer<T> norms_, risen_, bias_;
};
