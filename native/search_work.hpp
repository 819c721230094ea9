// A search in units of work: one branch of the tree before all noisy images. Units are the same for
// any number of threads, and are merged in order.
#pragma once

template <class T, bool Best> class SearchWork {
  public:
    SearchWork(const SearchQuestion<T>& question, const SearchAnswer<T>& answer)
        : question_(question),
          answer_(answer),
          plane_(question.tree.height * question.tree.width),
          count_(question.batch * plane_),
          pixels_(question),
          level_(first_level(question.tree.levels)),
          parts_(std::size_t(1) << level_) {}

    void run() {
        in_parallel(int(parts_.size()), question_.tree.threads, &run_unit, this);
        *answer_.evaluated = 0;
        for (const Unit& part : parts_) *answer_.evaluated += part.evaluated;
        for (int pixel = 0; pixel < count_; ++pixel) finish(pixel);
    }

  private:
    struct Unit {
        std::vector<double> log_weight, mean, entropy, rest;
        std::vector<Source> sources;
        std::int64_t evaluated = 0;
    };

    // The lowest of the first eight levels, leaves apart, whose boxes are kept; the root otherwise.
    static int first_level(int levels) {
        int level = level_above(levels);
        while (level > 8) level = level_above(level);
        return level;
    }

    static void run_unit(void* self, std::int64_t unit) {
        static_cast<SearchWork*>(self)->descend(std::size_t(unit));
    }

    void descend(std::size_t unit) {
        Descent<T, Best> descent(question_, pixels_);
        descent.run(unit, level_);
        Unit& part = parts_[unit];
        const int channels = question_.tree.channels, best = question_.best;
        part.log_weight.resize(count_);
        part.mean.resize(std::size_t(count_) * channels);
        part.entropy.resize(Best ? count_ : 0);
        part.sources.resize(Best ? std::size_t(count_) * best : 0);
        part.rest.resize(count_);
        part.evaluated = descent.evaluated();
        for (int pixel = 0; pixel < count_; ++pixel) {
            part.rest[pixel] = descent.rest(pixel);
            double entropy = 0;
            const Source* sources = nullptr;
            double* mean = part.mean.data() + std::size_t(pixel) * channels;
            part.log_weight[pixel] = descent.tally().read(pixel, mean, &entropy, &sources);
            if (!Best) continue;
            part.entropy[pixel] = entropy;
            std::copy(sources, sources + best, &part.sources[std::size_t(pixel) * best]);
        }
    }

    void finish(int pixel) {
        const int channels = question_.tree.channels;
        double most = -HUGE_VAL, total = 0, entropy = 0, rest = 0;
        for (const Unit& part : parts_) {
            most = std::max(most, part.log_weight[pixel]);
            rest += part.rest[pixel];
        }
        std::vector<double> mean(channels, 0.0);
        const double base = std::isfinite(most) ? most : 0;
        for (const Unit& part : parts_) {
            const double apart = part.log_weight[pixel] - base, share = std::exp(apart);
            if (!(share > 0)) continue;
            total += share;
            for (int c = 0; c < channels; ++c)
                mean[c] += share * part.mean[std::size_t(pixel) * channels + c];
            if (Best) entropy += share * (part.entropy[pixel] - apart);
        }
        answer_.answer.log_weight[pixel] = base + std::log(total);
        // What single precision lost of the weights' bounds is less than one part in a hundred.
        answer_.log_rest[pixel] = question_.threshold[pixel] + std::log(1.01 * rest);
        const std::size_t first = std::size_t(pixel / plane_) * channels;
        for (int c = 0; c < channels; ++c)
            answer_.answer.mean[(first + c) * plane_ + pixel % plane_] =
                static_cast<T>(total > 0 ? mean[c] / total : 0);
        if (!Best) return;
        answer_.answer.entropy[pixel] =
            total > 0 ? std::max(0.0, entropy / total + std::log(total)) : 0;
        finish_sources(pixel);
    }

    void finish_sources(int pixel) {
        const int best = question_.best;
        std::vector<Source> all;
        for (const Unit& part : parts_) {
            const Source* list = &part.sources[std::size_t(pixel) * best];
            for (int k = 0; k < best; ++k)
                if (list[k].image >= 0) all.push_back(list[k]);
        }
        std::sort(all.begin(), all.end(), before);
        all.resize(std::max<std::size_t>(all.size(), best), Source{-HUGE_VAL, -1, -1});
        for (int k = 0; k < best; ++k) {
            const std::size_t list = std::size_t(pixel / plane_) * best + k;
            const std::size_t place = list * plane_ + pixel % plane_;
            answer_.answer.source_weight[place] = all[k].weight;
            answer_.answer.source_image[place] = all[k].image;
            answer_.answer.source_position[place] = all[k].position;
        }
    }

    const SearchQuestion<T>& question_;
    const SearchAnswer<T>& answer_;
    int plane_, count_;
    Pixels<T> pixels_;
    int level_;
    std::vector<Unit> parts_;
};

template <class T> void search(const SearchQuestion<T>& question, const SearchAnswer<T>& answer) {
    if (question.best > 0)
        SearchWork<T, true>(question, answer).run();
    else
        SearchWork<T, false>(question, answer).run();
}
