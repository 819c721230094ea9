// The posterior of the patches of a tree that may weigh more than a threshold, and a bound on the rest.
//
// Each pixel goes down the tree by itself, 16 boxes at a time. Where it can owe no more than its
// threshold to any patch of a node, the node's patches are left out and the bound of their weights is
// added to the pixel's rest. The leaves that remain are then visited one after the other, so that the
// pixels that want the same leaf share the reading of its patches.
#pragma once

// The patches of all noisy images and their codes; pixels are counted over all of them.
template <class T> class Pixels {
  public:
    explicit Pixels(const SearchQuestion<T>& question)
        : plane_(question.tree.height * question.tree.width),
          count_(question.batch * plane_),
          size_(question.tree.size),
          scale_(question.scale),
          values_(std::size_t(count_) * size_),
          codes_(std::size_t(count_) * code_size),
          slack_(count_),
          threshold_(count_) {
        const Patches<T> patches(question.tree);
        for (int pixel = 0; pixel < count_; ++pixel) {
            read(question, pixel / plane_, pixel % plane_, &values_[std::size_t(pixel) * size_]);
            double code[code_size], norm = 0;
            patches.code(values(pixel), code);
            for (int j = 0; j < code_size; ++j) {
                codes_[std::size_t(pixel) * code_size + j] = T(code[j]);
                norm += code[j] * code[j];
            }
            // Codes are rounded, by less than `error`; (a − e)² ≥ a² (1 − 10⁻⁴) − 10⁴ e².
            const double error = 1e-6 * (std::sqrt(norm) + question.tree.reach);
            slack_[pixel] = T(1e4 * error * error);
            const double asked = question.threshold[pixel];
            threshold_[pixel] = asked > -never ? T(-never) : T(std::max(asked, never / 2));
        }
    }

    int count() const { return count_; }
    const T* values(int pixel) const { return &values_[std::size_t(pixel) * size_]; }
    const T* code(int pixel) const { return &codes_[std::size_t(pixel) * code_size]; }
    T scale(int pixel) const { return T(scale_[pixel / plane_]); }
    T slack(int pixel) const { return slack_[pixel]; }
    T threshold(int pixel) const { return threshold_[pixel]; }
    bool absent(int pixel) const { return threshold_[pixel] == T(-never); }

  private:
    static void read(const SearchQuestion<T>& question, int sample, int pixel, T* to) {
        const TreeQuestion<T>& tree = question.tree;
        const int k = tree.window, height = tree.height + k - 1, width = tree.width + k - 1;
        for (int c = 0; c < tree.channels; ++c)
            for (int r = 0; r < k; ++r) {
                const std::size_t plane = std::size_t(sample) * tree.channels + c;
                const std::size_t line = (plane * height + pixel / tree.width + r) * width;
                for (int w = 0; w < k; ++w) *to++ = question.noisy[line + pixel % tree.width + w];
            }
    }

    int plane_, count_, size_;
    const double* scale_;
    std::vector<T> values_, codes_, slack_, threshold_;
};

// One branch of the tree before all noisy images.
template <class T, bool Best> class Descent {
    using V = Lanes<T>;
    static constexpr int lanes = V::count, vectors = leaf_patches / lanes;
    static constexpr int margin = 2;  // inner nodes must stay further below, nats
    // Patches found to be this far below the threshold are left out, too: e⁻³ of it at most.
    static constexpr int skipped = 3;
    static constexpr double skipped_share = 0.0498;
    static constexpr std::size_t most_visits = std::size_t(1) << 20;

  public:
    Descent(const SearchQuestion<T>& question, const Pixels<T>& pixels)
        : question_(question),
          pixels_(pixels),
          patches_(question.tree),
          total_(std::size_t(question.tree.rows) * question.tree.columns * question.tree.count),
          tally_(pixels.count(), question.tree.channels, question.best, question.depth),
          rest_(pixels.count(), 0.0),
          leaf_(std::size_t(question.tree.size) * leaf_patches),
          absent_(leaf_patches) {}

    void run(std::size_t number, int level) {
        for (int pixel = 0; pixel < pixels_.count(); ++pixel) {
            if (pixels_.absent(pixel)) continue;
            descend(pixel, number, level);
            if (visits_.size() > most_visits) visit_leaves();
        }
        visit_leaves();
    }

    const Tally<T, Best>& tally() const { return tally_; }
    double rest(int pixel) const { return rest_[pixel]; }  // in units of exp(threshold)
    std::int64_t evaluated() const { return evaluated_; }

  private:
    struct Node {
        std::size_t number;
        int level;
    };

    struct Visit {
        std::uint32_t leaf;
        int pixel;
    };

    static int level_below(int levels, int level) {
        if (level > 0) return level + 4;
        int below = levels;
        while (level_above(below) > 0) below = level_above(below);
        return below;
    }

    void descend(int pixel, std::size_t number, int level) {
        const int levels = question_.tree.levels;
        V rest = V::all(T(0));
        nodes_.assign(1, Node{number, level});
        while (!nodes_.empty()) {
            const Node node = nodes_.back();
            nodes_.pop_back();
            const int below = level_below(levels, node.level);
            const std::size_t group = first_group(levels, below) + node.number;
            const float* boxes = question_.boxes + group * 2 * code_size * branching;
            const int present = node.level ? branching : 1 << below;
            // Nodes of one level differ by at most one patch.
            const T patches = T((total_ >> below) + 1);
            for (int part = 0; part < present; part += lanes)
                children(pixel, node.number * branching + part, below,
                         std::min(lanes, present - part), boxes + part, patches, rest);
        }
        alignas(64) T lane[lanes];
        rest.store(lane);
        for (const T one : lane) rest_[pixel] += double(one);
    }

    // Decides about some nodes of a group: visit them, or add them to the rest.
    void children(int pixel, std::size_t number, int level, int present, const float* boxes,
                  T patches, V& rest) {
        const T* code = pixels_.code(pixel);
        V sum = V::all(T(0));
        for (int j = 0; j < code_size; ++j) {
            const V at = V::all(code[j]);
            const V below = V::from_floats(boxes + j * branching) - at;
            const V above = at - V::from_floats(boxes + (code_size + j) * branching);
            const V apart = V::larger(V::larger(below, above), V::all(T(0)));
            sum = V::fused(apart, apart, sum);
        }
        const V zero = V::all(T(0));
        sum = V::larger(V::fused(sum, V::all(T(1 - 1e-4)), V::all(-pixels_.slack(pixel))), zero);
        const bool leaf = level == question_.tree.levels;
        const V apart = V::fused(sum, V::all(pixels_.scale(pixel)), V::all(-pixels_.threshold(pixel)));
        const V least = V::all(leaf ? T(0) : T(-margin));
        const V weight = V::all(patches) * exponential<T>(zero - V::larger(zero - apart, zero));
        if (!V::any_above(apart, least) && present == lanes) {
            rest = rest + weight;
            return;
        }
        alignas(64) T kept[lanes], left[lanes];
        apart.store(kept);
        V::choose_above(apart, least, zero, weight).store(left);
        for (int lane = 0; lane < lanes; ++lane) {
            if (lane >= present) {
                left[lane] = 0;
            } else if (kept[lane] > (leaf ? T(0) : T(-margin))) {
                if (leaf)
                    visits_.push_back({std::uint32_t(number + lane), pixel});
                else
                    nodes_.push_back({number + lane, level});
            }
        }
        rest = rest + V::load(left);
    }

    void visit_leaves() {
        sort_by_leaf();
        for (std::size_t at = 0, next = 0; at < visits_.size(); at = next) {
            const std::size_t leaf = visits_[at].leaf;
            while (next < visits_.size() && visits_[next].leaf == leaf) ++next;
            if (next < visits_.size()) fetch_leaf(visits_[next].leaf);
            const std::size_t first = first_patch(total_, leaf, question_.tree.levels);
            const std::size_t last = first_patch(total_, leaf + 1, question_.tree.levels);
            read_leaf(first, last);
            for (std::size_t visit = at; visit < next; ++visit)
                evaluate(visits_[visit].pixel, first);
            evaluated_ += std::int64_t((last - first) * (next - at));
        }
        visits_.clear();
    }

    // Sorts the visits by leaf, and where it is the same leaves them in their order, by pixel.
    void sort_by_leaf() {
        if (visits_.empty()) return;
        std::uint32_t low = visits_[0].leaf, high = low;
        for (const Visit& visit : visits_) {
            low = std::min(low, visit.leaf);
            high = std::max(high, visit.leaf);
        }
        places_.assign(std::size_t(high - low) + 2, 0);
        for (const Visit& visit : visits_) ++places_[visit.leaf - low + 1];
        for (std::size_t leaf = 1; leaf < places_.size(); ++leaf) places_[leaf] += places_[leaf - 1];
        sorted_.resize(visits_.size());
        for (const Visit& visit : visits_) sorted_[places_[visit.leaf - low]++] = visit;
        visits_.swap(sorted_);
    }

    // Patches lie all over the training set: asks for those of the next leaf ahead of time.
    void fetch_leaf(std::size_t leaf) const {
        const std::size_t first = first_patch(total_, leaf, question_.tree.levels);
        const std::size_t last = first_patch(total_, leaf + 1, question_.tree.levels);
        for (std::size_t place = first; place < last; ++place)
            patches_.fetch(question_.order[place]);
    }

    void read_leaf(std::size_t first, std::size_t last) {
        for (std::size_t place = 0; place < leaf_patches; ++place) {
            const bool here = first + place < last;
            absent_.get()[place] = here ? T(0) : T(never);
            patches_.read(question_.order[here ? first + place : first], leaf_.get() + place,
                          leaf_patches);
        }
    }

    // Adds the patches of the leaf at hand to a pixel.
    void evaluate(int pixel, std::size_t first) {
        const TreeQuestion<T>& tree = question_.tree;
        const T* noisy = pixels_.values(pixel);
        V sums[vectors], others[vectors];  // two of each, so that additions need not wait
        for (int v = 0; v < vectors; ++v) sums[v] = others[v] = V::all(T(0));
        const T* row = leaf_.get();
        int d = 0;
        for (; d + 1 < tree.size; d += 2, row += 2 * leaf_patches) {
            const V one = V::all(noisy[d]), two = V::all(noisy[d + 1]);
            for (int v = 0; v < vectors; ++v) {
                const V apart = one - V::load(row + v * lanes);
                sums[v] = V::fused(apart, apart, sums[v]);
                const V next = two - V::load(row + leaf_patches + v * lanes);
                others[v] = V::fused(next, next, others[v]);
            }
        }
        for (int v = 0; v < vectors; ++v) {
            sums[v] = sums[v] + others[v];
            if (d == tree.size) continue;
            const V apart = V::all(noisy[d]) - V::load(row + v * lanes);
            sums[v] = V::fused(apart, apart, sums[v]);
        }
        const std::ptrdiff_t window = std::ptrdiff_t(tree.window) * tree.window;
        const T* colour = leaf_.get() + window / 2 * leaf_patches;
        const V scale = V::all(pixels_.scale(pixel)), least = V::all(pixels_.threshold(pixel) - T(skipped));
        for (int v = 0; v < vectors; ++v) {
            const V weight = V::fused(sums[v], scale, V::load(absent_.get() + v * lanes));
            if (!V::any_above(weight, least)) {
                rest_[pixel] += lanes * skipped_share;
                continue;
            }
            tally_.add(pixel, weight, colour + v * lanes, window * leaf_patches, [&](int lane) {
                const std::uint32_t patch = question_.order[first + std::size_t(v) * lanes + lane];
                const std::uint32_t each = std::uint32_t(tree.rows) * tree.columns;
                return Source{0, question_.index[patch / each], patches_.position(patch)};
            });
        }
    }

    const SearchQuestion<T>& question_;
    const Pixels<T>& pixels_;
    Patches<T> patches_;
    std::size_t total_;
    Tally<T, Best> tally_;
    std::vector<double> rest_;
    std::vector<Node> nodes_;
    std::vector<Visit> visits_, sorted_;
    std::vector<std::size_t> places_;
    Buffer<T> leaf_, absent_;
    std::int64_t evaluated_ = 0;
};
