// The work of gradients, cut into the same units as that of posteriors (kernels.hpp).
#pragma once

template <class T, class Stored, int C> class GradientWork : public Work<T, Stored> {
    using Sink = GradientSink<T, Stored, C>;

  public:
    GradientWork(const Question<T>& question, const Pulls<T>& pulls)
        : Work<T, Stored>(question), pulls_(pulls), parts_(std::size_t(question.batch) * this->chunks_) {}

    static void run(void* self, std::int64_t unit) { static_cast<GradientWork*>(self)->run_unit(unit); }

    // Adds up the parts of the units, in order.
    void finish(double* sums) const {
        const std::size_t size = std::size_t(this->question_.channels + 1) * this->pixels_;
        std::fill(sums, sums + size * this->question_.batch, 0.0);
        for (std::size_t part = 0; part < parts_.size(); ++part)
            for (std::size_t j = 0; j < size; ++j) sums[part / this->chunks_ * size + j] += parts_[part][j];
    }

  private:
    void run_unit(std::int64_t unit) {
        this->blocks(unit, [this](int chunk, int sample, int first, int last) {
            Sweep<T, Stored> sweep(this->question_, this->noisy_.data(), Sink::together);
            std::vector<std::unique_ptr<Sink>> sinks;
            for (int b = sample; b < sample + this->samples_; ++b)
                sinks.push_back(std::make_unique<Sink>(this->question_, pulls_, b, this->lifts_[b]));
            for (int image = first; image < last; image += Pair<T>::count) {
                sweep.take(image);
                for (int b = 0; b < this->samples_; ++b) {
                    sinks[b]->lay(image, sweep.present());
                    sweep.visit(sample + b, false, *sinks[b]);
                }
            }
            for (int b = 0; b < this->samples_; ++b) write(chunk, sample + b, *sinks[b]);
        });
    }

    void write(int chunk, int sample, const Sink& sink) {
        const int fields = this->question_.channels + 1;
        std::vector<double>& part = parts_[std::size_t(sample) * this->chunks_ + chunk];
        std::vector<double> here(fields);
        part.resize(std::size_t(fields) * this->pixels_);
        for (int pixel = 0; pixel < this->pixels_; ++pixel) {
            sink.read(pixel, here.data());
            for (int field = 0; field < fields; ++field)
                part[std::size_t(field) * this->pixels_ + pixel] = here[field];
        }
    }

    const Pulls<T>& pulls_;
    std::vector<std::vector<double>> parts_;  // Σ c x and Σ c [C + 1, H, W] of each sample and chunk
};

template <class T, class Stored, int C>
void gradient_of(const Question<T>& question, const Pulls<T>& pulls, double* sums) {
    using Work = GradientWork<T, Stored, C>;
    Work work(question, pulls);
    in_parallel(work.units(), question.threads, &Work::run, &work);
    work.finish(sums);
}

template <class T> void gradient(const Question<T>& question, const Pulls<T>& pulls, double* sums) {
    by_kind(question, [&](auto channels, auto stored) {
        gradient_of<T, decltype(stored), channels>(question, pulls, sums);
    });
}
