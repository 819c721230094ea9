// What becomes of the log-weights of all pairs: the evidence of every image.
#pragma once

// log Σ_v exp ℓ of every image of a block, each image its own running maximum.
template <class T> class EvidenceSink {
    using V = Lanes<T>;
    static constexpr int lanes = Pair<T>::count;

  public:
    static constexpr bool sifts = false, ends = false;

    explicit EvidenceSink(const Question<T>& question)
        : question_(question),
          most_(std::size_t(question.height) * question.width * lanes),
          sums_(std::size_t(question.height) * question.width * lanes) {}

    void clear() {
        most_.fill(static_cast<T>(never));
        sums_.fill(0);
    }

    template <class Block>
    void row(const Block&, const Group& group, int pixel_row, int, const T* const* lines) {
        const int width = question_.width;
        int column = group.first % width;
        for (int x = 0; x < group.extent; ++x) {
            const std::size_t place = (std::size_t(pixel_row) * width + column) * lanes;
            if (++column == width) column = 0;
            for (int half = 0; half < lanes; half += V::count)
                add(group, place + half, lines, std::size_t(x) * lanes + half);
        }
    }

    double read(int pixel, int lane) const {
        const std::size_t place = std::size_t(pixel) * lanes + lane;
        return ln2 * most_.get()[place] + std::log(double(sums_.get()[place]));
    }

  private:
    void add(const Group& group, std::size_t place, const T* const* lines, std::size_t at) {
        const V depth = V::all(static_cast<T>(question_.depth / ln2)), zero = V::all(T(0));
        V most = V::load(most_.get() + place);
        for (int g = 0; g < group.size; ++g) {
            const V one = V::load(lines[g] + at);
            if (!V::any_above(one, most - depth)) continue;
            const V apart = one - most;
            const V share = power_of_two<T>(zero - V::larger(apart, zero - apart));
            V sum = V::load(sums_.get() + place);
            sum = V::choose_above(one, most, V::fused(sum, share, V::all(T(1))), sum + share);
            sum.store(sums_.get() + place);
            most = V::larger(one, most);
        }
        most.store(most_.get() + place);
    }

    const Question<T>& question_;
    Buffer<T> most_, sums_;
};
