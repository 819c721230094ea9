// The kernels of one instruction set: included once for each, inside a namespace of its own, after
// `Lanes` has been defined. Results do not depend on the number of threads, because the work is
// cut into the same units for any number, and their parts are merged in order.
#pragma once

#include "pair.hpp"
// Each of these may need those before.
#include "groups.hpp"
#include "sweep.hpp"
#include "posterior.hpp"
#include "sampled.hpp"
#include "moments.hpp"
#include "gradient.hpp"
#include "whole.hpp"

// Images of one unit of work, a multiple of the lanes.
inline int unit_images(int count, int lanes) {
    const int even = std::min(512, (count + 15) / 16);
    return std::max(1, (even + lanes - 1) / lanes) * lanes;
}

// What to do with the log-weights of one noisy image.
template <class T, class Stored>
std::unique_ptr<Reader<T, Stored>> reader_of(const Question<T>& question, int sample,
                                                      const std::vector<double>& lifted) {
    const int channels = question.channels;
    if (question.threshold) {
        if (channels == 1) return std::make_unique<SampledSink<T, Stored, 1>>(question, sample, lifted);
        if (channels == 3) return std::make_unique<SampledSink<T, Stored, 3>>(question, sample, lifted);
        return std::make_unique<SampledSink<T, Stored, 0>>(question, sample, lifted);
    }
    if (question.best > 0) return std::make_unique<PosteriorSink<T, Stored, 0, true>>(question);
    if (channels == 1) return std::make_unique<PosteriorSink<T, Stored, 1, false>>(question);
    if (channels == 3) return std::make_unique<PosteriorSink<T, Stored, 3, false>>(question);
    return std::make_unique<PosteriorSink<T, Stored, 0, false>>(question);
}

// The posterior of one noisy image over the images of one unit.
struct Part {
    std::vector<double> log_weight, mean, entropy;
    std::vector<Source> sources;
};

template <class T, class Stored> class Work {
  public:
    explicit Work(const Question<T>& question)
        : question_(question),
          pixels_(question.height * question.width),
          images_(unit_images(question.count, Pair<T>::count)),
          chunks_((question.count + images_ - 1) / images_) {
        // Where a pair of positions is rare, laying out the images is what costs: share it.
        samples_ = few_displacements(question) ? question.batch : 1;
        const std::size_t plane = std::size_t(question.noisy_height) * question.noisy_width;
        const std::size_t values = plane * question.channels;
        for (int sample = 0; sample < question.batch; ++sample) {
            lifts_.push_back(lifts<T, Stored>(question, sample));
            const double factor = noisy_factor<T, Stored>(question, sample);
            const T* from = question.noisy + sample * values;
            for (std::size_t j = 0; j < plane; ++j)
                for (std::size_t c = 0; c < values; c += plane)
                    noisy_.push_back(static_cast<T>(from[c + j] * factor));
        }
    }

    std::int64_t units() const { return std::int64_t(chunks_) * (question_.batch / samples_); }

  protected:
    template <class Visit> void blocks(std::int64_t unit, const Visit& visit) {
        const int chunk = int(unit % chunks_), sample = int(unit / chunks_) * samples_;
        const int first = chunk * images_;
        const int last = std::min(first + images_, question_.count);
        visit(chunk, sample, first, last);
    }

    const Question<T>& question_;
    int pixels_, images_, chunks_, samples_;
    std::vector<T> noisy_;  // times `noisy_factor` [B, noisy_height, noisy_width, C]
    std::vector<std::vector<double>> lifts_;
};

template <class T, class Stored> class PosteriorWork : public Work<T, Stored> {
  public:
    PosteriorWork(const Question<T>& question, const Answer<T>& answer)
        : Work<T, Stored>(question),
          answer_(answer),
          values_(question.channels * (question.threshold ? 2 : 1)),
          parts_(std::size_t(question.batch) * this->chunks_) {}

    static void run(void* self, std::int64_t unit) { static_cast<PosteriorWork*>(self)->run_unit(unit); }

    // Merges the parts of the units, in order, into the answer.
    void finish() {
        for (int sample = 0; sample < this->question_.batch; ++sample)
            for (int pixel = 0; pixel < this->pixels_; ++pixel) finish_pixel(sample, pixel);
    }

  private:
    void run_unit(std::int64_t unit) {
        this->blocks(unit, [this](int chunk, int sample, int first, int last) {
            const Question<T>& q = this->question_;
            Sweep<T, Stored> sweep(q, this->noisy_.data(), Reader<T, Stored>::together);
            std::vector<std::unique_ptr<Reader<T, Stored>>> sinks;
            for (int b = sample; b < sample + this->samples_; ++b)
                sinks.push_back(reader_of<T, Stored>(q, b, this->lifts_[b]));
            for (int image = first; image < last; image += Pair<T>::count) {
                sweep.take(image);
                for (int b = 0; b < this->samples_; ++b)
                    sinks[b]->take(sweep, sample + b, sweep.take_bias(sample + b));
            }
            for (int b = 0; b < this->samples_; ++b) write(chunk, sample + b, *sinks[b]);
        });
    }

    void write(int chunk, int sample, const Reader<T, Stored>& sink) {
        const Question<T>& q = this->question_;
        Part& part = parts_[std::size_t(sample) * this->chunks_ + chunk];
        part.log_weight.resize(this->pixels_);
        part.mean.resize(std::size_t(this->pixels_) * values_);
        part.entropy.resize(q.best ? this->pixels_ : 0);
        part.sources.resize(std::size_t(this->pixels_) * q.best);
        for (int pixel = 0; pixel < this->pixels_; ++pixel) {
            double entropy = 0;
            const Source* sources = nullptr;
            double* mean = part.mean.data() + std::size_t(pixel) * values_;
            part.log_weight[pixel] = sink.read(pixel, mean, &entropy, &sources);
            if (q.best == 0) continue;
            part.entropy[pixel] = entropy;
            std::copy(sources, sources + q.best, &part.sources[std::size_t(pixel) * q.best]);
        }
    }

    void finish_pixel(int sample, int pixel) {
        const Part* parts = &parts_[std::size_t(sample) * this->chunks_];
        const bool best = this->question_.best > 0;
        double most = -HUGE_VAL, total = 0, entropy = 0;
        for (int part = 0; part < this->chunks_; ++part)
            most = std::max(most, parts[part].log_weight[pixel]);
        std::vector<double> mean(values_, 0.0);
        const double base = std::isfinite(most) ? most : 0;
        for (int part = 0; part < this->chunks_; ++part) {
            const double apart = parts[part].log_weight[pixel] - base, share = std::exp(apart);
            if (!(share > 0)) continue;
            total += share;
            for (int c = 0; c < values_; ++c)
                mean[c] += share * parts[part].mean[std::size_t(pixel) * values_ + c];
            if (best) entropy += share * (parts[part].entropy[pixel] - apart);
        }
        const std::size_t place = std::size_t(sample) * this->pixels_ + pixel;
        const double lifted = this->lifts_[sample][pixel];
        answer_.log_weight[place] = lifted + base + std::log(total);
        for (int c = 0; c < values_; ++c)
            answer_.mean[(std::size_t(sample) * values_ + c) * this->pixels_ + pixel] =
                static_cast<T>(total > 0 ? mean[c] / total : 0);
        if (!best) return;
        answer_.entropy[place] = total > 0 ? std::max(0.0, entropy / total + std::log(total)) : 0;
        finish_sources(parts, sample, pixel);
    }

    void finish_sources(const Part* parts, int sample, int pixel) {
        const int best = this->question_.best;
        const double lifted = this->lifts_[sample][pixel];
        std::vector<Source> all;
        for (int part = 0; part < this->chunks_; ++part) {
            const Source* list = &parts[part].sources[std::size_t(pixel) * best];
            for (int k = 0; k < best; ++k)
                if (list[k].image >= 0) all.push_back(list[k]);
        }
        std::sort(all.begin(), all.end(), before);
        all.resize(std::max<std::size_t>(all.size(), best), Source{-HUGE_VAL, -1, -1});
        for (int k = 0; k < best; ++k) {
            const std::size_t place = (std::size_t(sample) * best + k) * this->pixels_ + pixel;
            answer_.source_weight[place] = ln2 * all[k].weight + lifted;
            answer_.source_image[place] = all[k].image;
            answer_.source_position[place] = all[k].position;
        }
    }

    const Answer<T>& answer_;
    const int values_;  // means of each pixel
    std::vector<Part> parts_;
};

template <class T, class Stored>
void posterior_of(const Question<T>& question, const Answer<T>& answer) {
    using Work = PosteriorWork<T, Stored>;
    Work work(question, answer);
    in_parallel(work.units(), question.threads, &Work::run, &work);
    work.finish();
}

template <class T> void posterior(const Question<T>& question, const Answer<T>& answer) {
    if constexpr (std::is_same_v<T, float>)
        if (question.bytes) return posterior_of<T, Packed>(question, answer);
    posterior_of<T, Plain<T>>(question, answer);
}

#include "moments_work.hpp"
#include "pairs.hpp"
#include "gradient_work.hpp"
#include "smooth.hpp"

template <class T> constexpr auto pairs_of() -> void (*)(const PairQuestion<T>&) {
    if constexpr (std::is_same_v<T, double>) return &pairs<T>;
    return nullptr;
}

template <class T>
constexpr Kernels<T> kernels{&posterior<T>, &evidence<T>, &moments<T>, &gradient<T>, &distances<T>,
                             &average<T>, pairs_of<T>(), &smooth<T>};
