// A tree of training patches, and the posterior of the patches that can matter (theory §2.6).
//
// A patch is told from others by its `code`: coordinates along a few orthonormal directions, and the
// norm of what they leave over. The distance of two codes is at most that of the patches, so the box
// around the codes of a node bounds the weight of every patch below it. Halving the patches along
// the widest coordinate until at most `leaf_patches` are left makes a balanced binary tree, in which a
// node's patches are a range of `order`. Boxes are kept for every fourth level, from the leaves up, so
// that the boxes of the 16 nodes below one lie side by side.
#pragma once

// What a code and the border of a tree are made of.
struct Record {
    std::uint16_t code[code_size];
    std::uint16_t id[2];

    std::uint32_t patch() const { return id[0] | (std::uint32_t(id[1]) << 16); }
};

template <class T> class Patches {
  public:
    explicit Patches(const TreeQuestion<T>& question) : question_(question) {
        for (int byte = 0; byte < 256; ++byte) values_of_bytes_[byte] = T(byte) / T(127.5) - T(1);
    }

    // Writes the values of a patch, [C, k, k], each `step` after the other.
    void read(std::uint32_t patch, T* to, std::ptrdiff_t step) const {
        const TreeQuestion<T>& q = question_;
        const std::uint32_t positions = std::uint32_t(q.rows) * q.columns;
        const std::int64_t image = patch / positions;
        const int top = int(patch % positions) / q.columns, left = int(patch % positions) % q.columns;
        const int radius = q.rows < q.height || q.columns < q.width ? 0 : q.window / 2;
        for (int c = 0; c < q.channels; ++c)
            for (int r = 0; r < q.window; ++r) {
                const int row = wrapped(top + r - radius, q.height);
                const std::int64_t line = ((image * q.channels + c) * q.height + row) * q.width;
                for (int w = 0; w < q.window; ++w, to += step) {
                    const std::int64_t at = line + wrapped(left + w - radius, q.width);
                    *to = q.bytes ? values_of_bytes_[q.bytes[at]] : q.values[at];
                }
            }
    }

    // Asks for the rows of a patch ahead of time.
    void fetch(std::uint32_t patch) const {
        const TreeQuestion<T>& q = question_;
        const std::uint32_t positions = std::uint32_t(q.rows) * q.columns;
        const std::int64_t image = patch / positions;
        const int top = int(patch % positions) / q.columns, left = int(patch % positions) % q.columns;
        for (int c = 0; c < q.channels; ++c)
            for (int r = 0; r < q.window; ++r) {
                const int row = wrapped(top + r, q.height);
                const std::int64_t line = ((image * q.channels + c) * q.height + row) * q.width;
                if (q.bytes)
                    __builtin_prefetch(q.bytes + line + left);
                else
                    __builtin_prefetch(q.values + line + left);
            }
    }

    // Coordinates along the directions, and the norm of the rest, of `size` values.
    void code(const T* values, double* code) const {
        const TreeQuestion<T>& q = question_;
        double sums[directions] = {}, norm = 0;
        for (int d = 0; d < q.size; ++d) {
            const double value = values[d];
            norm += value * value;
            for (int j = 0; j < directions; ++j) sums[j] += q.basis[d * directions + j] * value;
        }
        for (int j = 0; j < directions; ++j) {
            code[j] = sums[j];
            norm -= sums[j] * sums[j];
        }
        code[directions] = std::sqrt(std::max(0.0, norm));
    }

    // The pixel at the centre of a patch, as row · W + column.
    int position(std::uint32_t patch) const {
        const TreeQuestion<T>& q = question_;
        const int at = int(patch % (std::uint32_t(q.rows) * q.columns));
        return (at / q.columns + (q.height - q.rows) / 2) * q.width + at % q.columns +
               (q.width - q.columns) / 2;
    }

  private:
    static int wrapped(int at, int size) { return at < 0 ? at + size : (at < size ? at : at - size); }

    const TreeQuestion<T>& question_;
    T values_of_bytes_[256];
};

// The first of a node's patches, given its number within its level.
inline std::size_t first_patch(std::size_t patches, std::size_t number, int level) {
    return std::size_t((static_cast<unsigned __int128>(patches) * number) >> level);
}

template <class T> class TreeWork {
  public:
    TreeWork(const TreeQuestion<T>& question, std::uint32_t* order, float* boxes)
        : question_(question),
          order_(order),
          boxes_(boxes),
          positions_(std::size_t(question.rows) * question.columns),
          patches_(positions_ * question.count),
          records_(patches_) {}

    void run() {
        in_parallel(question_.count, question_.threads, &record_image, this);
        top_ = std::min(question_.levels, 6);
        for (int level = 0; level < top_; ++level)
            for (std::size_t number = 0; number < std::size_t(1) << level; ++number)
                halve(number, level);
        in_parallel(1 << top_, question_.threads, &finish_branch, this);
        for (int level = question_.levels; level_above(level) > 0; level = level_above(level))
            for (std::size_t node = 0; node < std::size_t(1) << level_above(level); ++node)
                join(level, node);
    }

  private:
    static void record_image(void* self, std::int64_t image) {
        static_cast<TreeWork*>(self)->record(std::size_t(image));
    }

    void record(std::size_t image) {
        const Patches<T> patches(question_);
        std::vector<T> values(question_.size);
        double code[code_size];
        for (std::size_t at = image * positions_; at < (image + 1) * positions_; ++at) {
            patches.read(std::uint32_t(at), values.data(), 1);
            patches.code(values.data(), code);
            Record& record = records_.get()[at];
            for (int j = 0; j < code_size; ++j) {
                const double step = (code[j] + question_.reach) / question_.step();
                record.code[j] = std::uint16_t(std::min(65534.0, std::max(0.0, std::floor(step))));
            }
            record.id[0] = std::uint16_t(at);
            record.id[1] = std::uint16_t(at >> 16);
        }
    }

    // Parts a node's patches at the median of the coordinate in which they differ most.
    void halve(std::size_t number, int level) {
        Record* first = records_.get() + first_patch(patches_, number, level);
        Record* last = records_.get() + first_patch(patches_, number + 1, level);
        Record* middle = records_.get() + first_patch(patches_, 2 * number + 1, level + 1);
        const int j = widest(first, last);
        std::nth_element(first, middle, last, [j](const Record& a, const Record& b) {
            return a.code[j] != b.code[j] ? a.code[j] < b.code[j] : a.patch() < b.patch();
        });
    }

    static int widest(const Record* first, const Record* last) {
        const std::ptrdiff_t step = std::max<std::ptrdiff_t>(1, (last - first) / 1024);
        double best = -1;
        int found = 0;
        for (int j = 0; j < code_size; ++j) {
            double sum = 0, squares = 0, count = 0;
            for (const Record* one = first; one < last; one += step, ++count) {
                sum += one->code[j];
                squares += double(one->code[j]) * one->code[j];
            }
            const double variance = squares / count - (sum / count) * (sum / count);
            if (variance > best) best = variance, found = j;
        }
        return found;
    }

    static void finish_branch(void* self, std::int64_t number) {
        TreeWork& work = *static_cast<TreeWork*>(self);
        work.branch(std::size_t(number), work.top_);
    }

    void branch(std::size_t number, int level) {
        if (level == question_.levels) return leaf(number);
        halve(number, level);
        branch(2 * number, level + 1);
        branch(2 * number + 1, level + 1);
    }

    void leaf(std::size_t number) {
        const std::size_t first = first_patch(patches_, number, question_.levels);
        const std::size_t last = first_patch(patches_, number + 1, question_.levels);
        std::uint16_t least[code_size], most[code_size];
        std::fill(least, least + code_size, std::uint16_t(65535));
        std::fill(most, most + code_size, std::uint16_t(0));
        for (std::size_t at = first; at < last; ++at) {
            const Record& one = records_.get()[at];
            order_[at] = one.patch();
            for (int j = 0; j < code_size; ++j) {
                least[j] = std::min(least[j], one.code[j]);
                most[j] = std::max(most[j], one.code[j]);
            }
        }
        std::sort(order_ + first, order_ + last);
        float* box = boxes(question_.levels, number);
        const double step = question_.step(), reach = question_.reach;
        for (int j = 0; j < code_size; ++j) {
            box[j * branching] = std::nextafter(float(least[j] * step - reach), -1e30f);
            box[(code_size + j) * branching] =
                std::nextafter(float((most[j] + 1) * step - reach), 1e30f);
        }
    }

    // Makes the box of a node four levels above others.
    void join(int level, std::size_t node) {
        const float* below = boxes(level, node * branching);
        float* box = boxes(level_above(level), node);
        for (int j = 0; j < code_size; ++j) {
            const float *low = below + j * branching, *high = below + (code_size + j) * branching;
            box[j * branching] = *std::min_element(low, low + branching);
            box[(code_size + j) * branching] = *std::max_element(high, high + branching);
        }
    }

    float* boxes(int level, std::size_t number) {
        const std::size_t group = first_group(question_.levels, level) + number / branching;
        return boxes_ + group * 2 * code_size * branching + number % branching;
    }

    const TreeQuestion<T>& question_;
    std::uint32_t* order_;
    float* boxes_;
    std::size_t positions_, patches_;
    Buffer<Record> records_;
    int top_ = 0;
};

template <class T>
void tree(const TreeQuestion<T>& question, std::uint32_t* order, float* boxes) {
    TreeWork<T>(question, order, boxes).run();
}
