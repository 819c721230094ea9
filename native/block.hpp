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
          bias_(std::size_t(question.width) * question.height * lanes),
          beside_(std::size_t(question.width) * lanes) {
        clean_.fill(0);
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
        // Whole blocks of bytes are written over; what is in the margins is zero from the beginning.
        const bool whole = std::is_same_v<Stored, Packed> && present_ == lanes && !question_.wrapped;
        if (!whole) clean_.fill(0);
        const int frame = question_.wrapped ? question_.frame : 0, height = question_.height;
        for (int c = 0; c < question_.channels; ++c)
            for (int r = -frame; r < height + frame; ++r) {
                const int from = ((r % height) + height) % height;
                if (whole)
                    take_beside(c, r);
                else  // a row of all lanes at a time, which stays in the nearest cache
                    for (int lane = 0; lane < present_; ++lane) take_row(lane, c, r, from);
            }
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

    // A row of one channel of an image taken.
    const unsigned char* bytes(int lane, int c, int row) const { return question_.bytes + line(lane, c, row); }
    std::size_t line(int lane, int c, int row) const {
        const Question<T>& q = question_;
        return ((std::size_t(first_ + lane) * q.channels + c) * q.height + row) * q.width;
    }
    // Where it is laid out, `row` counted from the first that is no margin.
    Unit* laid(int c, int row) {
        const std::ptrdiff_t pixel = place(row + question_.frame, question_.frame);
        return clean_.get() + margin() + (pixel * question_.channels + c) * Stored::size;
    }

    // Lays out a row of bytes of all lanes.
    void take_beside(int c, int row) {
        const int width = question_.width;
        unsigned char* const beside = beside_.get();
        const unsigned char* from[lanes];
        for (int lane = 0; lane < lanes; ++lane) from[lane] = bytes(lane, c, row);
        // Few lanes at a time: images often lie so that their rows push each other out of the cache.
        for (int lane = 0; lane < lanes; lane += 8) {
            int w = 0;
            if constexpr (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
                for (; w + 8 <= width; w += 8) turn(from + lane, w, beside + std::size_t(w) * lanes + lane);
            for (; w < width; ++w)
                for (int i = lane; i < lane + 8; ++i) beside[std::size_t(w) * lanes + i] = from[i][w];
        }
        const std::ptrdiff_t step = std::ptrdiff_t(question_.channels) * Stored::size;
        Unit* to = laid(c, row);
        if constexpr (std::is_same_v<Stored, Packed>)
            for (int w = 0; w < width; ++w) Packed::put(beside + std::size_t(w) * lanes, to + w * step);
    }

    // Lays out 8 bytes of 8 lanes, from one column on: rows become columns, in quarters, and quarters of these.
    IN_PLACE static void turn(const unsigned char* const* from, int column, unsigned char* to) {
        std::uint64_t rows[8];
        for (int i = 0; i < 8; ++i) __builtin_memcpy(rows + i, from[i] + column, 8);
        swap<4>(rows, 0x00000000ffffffff);
        swap<2>(rows, 0x0000ffff0000ffff);
        swap<1>(rows, 0x00ff00ff00ff00ff);
        for (int i = 0; i < 8; ++i) __builtin_memcpy(to + std::size_t(i) * lanes, rows + i, 8);
    }
    template <int apart> IN_PLACE static void swap(std::uint64_t* rows, std::uint64_t mask) {
        for (int i = 0; i < 8; ++i) {
            if (i & apart) continue;
            const std::uint64_t changed = (rows[i] >> (8 * apart) ^ rows[i + apart]) & mask;
            rows[i] ^= changed << (8 * apart);
            rows[i + apart] ^= changed;
        }
    }

    // Lays out a row of one lane, and its margins; `from` is the row of the image.
    void take_row(int lane, int c, int row, int from) {
        const Question<T>& q = question_;
        const Unit* units = units_ + (lane < Stored::size ? 0 : 256);
        const std::ptrdiff_t step = std::ptrdiff_t(q.channels) * Stored::size;
        Unit* to = laid(c, row);
        if constexpr (std::is_same_v<Stored, Packed>)
            put_row(to + lane % Stored::size, step, [from = bytes(lane, c, from), units](Unit* at, int w) {
                *at |= units[from[w]];
            });
        else if (q.bytes)
            put_row(to + lane, step, [from = bytes(lane, c, from), units](Unit* at, int w) {
                *at = units[from[w]];
            });
        else
            put_row(to + lane, step, [from = q.values + line(lane, c, from)](Unit* at, int w) { *at = from[w]; });
    }

    // Calls put(to, column) for the columns of one row, and for those of its margins where it goes on there.
    template <class Put> void put_row(Unit* to, std::ptrdiff_t step, const Put& put) {
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
    Buffer<unsigned char> beside_;  // a row of bytes, those of all lanes beside each other
};
