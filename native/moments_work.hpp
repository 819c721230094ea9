// The work of evidence and mean colours, cut into the same units as that of posteriors (kernels.hpp).
#pragma once

// The evidence of every image, in T, or with its mean colour, then in double.
template <class T, class Stored, int C, bool Means> class MomentsWork : public Work<T, Stored> {
    using Evidence = std::conditional_t<Means, double, T>;
    using Sink = MomentsSink<T, Stored, C, Means>;

  public:
    MomentsWork(const Question<T>& question, Evidence* evidence, T* means)
        : Work<T, Stored>(question), evidence_(evidence), means_(means) {}

    static void run(void* self, std::int64_t unit) { static_cast<MomentsWork*>(self)->run_unit(unit); }

  private:
    void run_unit(std::int64_t unit) {
        this->blocks(unit, [this](int, int sample, int first, int last) {
            Sweep<T, Stored> sweep(this->question_, this->noisy_.data(), Sink::together);
            Sink sink(this->question_);
            for (int image = first; image < last; image += Pair<T>::count) {
                sweep.take(image);
                for (int b = sample; b < sample + this->samples_; ++b) {
                    sink.clear();
                    sweep.visit(b, false, sink);
                    write(b, image, sweep.present(), sink);
                }
            }
        });
    }

    void write(int sample, int image, int present, const Sink& sink) {
        const int channels = this->question_.channels;
        const std::size_t first = std::size_t(sample) * this->question_.count + image;
        for (int lane = 0; lane < present; ++lane) {
            Evidence* evidence = evidence_ + (first + lane) * this->pixels_;
            for (int pixel = 0; pixel < this->pixels_; ++pixel)
                evidence[pixel] = static_cast<Evidence>(this->lifts_[sample][pixel] + sink.evidence(pixel, lane));
            T* means = means_ + (first + lane) * channels * this->pixels_;
            for (int c = 0; Means && c < channels; ++c)
                for (int pixel = 0; pixel < this->pixels_; ++pixel)
                    *means++ = static_cast<T>(sink.mean(pixel, lane, c));
        }
    }

    Evidence* evidence_;
    T* means_;
};

// Calls ask(channels, stored) with types for how many channels there are, 3 or 0 for any number, and how
// values are stored.
template <class T, class Ask> void by_kind(const Question<T>& question, const Ask& ask) {
    const auto with_channels = [&](auto stored) {
        if (question.channels == 3) return ask(std::integral_constant<int, 3>(), stored);
        ask(std::integral_constant<int, 0>(), stored);
    };
    if constexpr (std::is_same_v<T, float>)
        if (question.bytes) return with_channels(Packed());
    with_channels(Plain<T>());
}

template <class T> void evidence(const Question<T>& question, T* evidence) {
    by_kind(question, [&](auto, auto stored) {
        using Work = MomentsWork<T, decltype(stored), 0, false>;
        Work work(question, evidence, nullptr);
        in_parallel(work.units(), question.threads, &Work::run, &work);
    });
}

template <class T> void moments(const Question<T>& question, double* evidence, T* means) {
    by_kind(question, [&](auto channels, auto stored) {
        using Work = MomentsWork<T, decltype(stored), channels, true>;
        Work work(question, evidence, means);
        in_parallel(work.units(), question.threads, &Work::run, &work);
    });
}
