// Images as a whole: distances to all training images, and weighted means of them.
#pragma once

constexpr int images_at_once = 256;

// Calls work(j, x) for the values of one image, a vector at a time, the last one padded with zeros.
template <class T, class Visit>
inline void each_vector(const WholeQuestion<T>& q, std::int64_t image, const Visit& visit) {
    using V = Lanes<T>;
    constexpr int lanes = V::count;
    const std::int64_t start = image * q.size, whole = q.size / lanes * lanes;
    const V unit = V::all(T(1) / T(127.5)), one = V::all(T(1));
    for (std::int64_t j = 0; j < whole; j += lanes)
        visit(j, q.bytes ? V::from_bytes(q.bytes + start + j) * unit - one
                         : V::load_any(q.values + start + j));
    if (whole == q.size) return;
    T rest[lanes] = {};
    for (std::int64_t j = whole; j < q.size; ++j)
        rest[j - whole] = q.bytes ? T(q.bytes[start + j]) / T(127.5) - T(1) : q.values[start + j];
    visit(whole, V::load_any(rest));
}

inline std::int64_t padded(std::int64_t size, int lanes) { return (size + lanes - 1) / lanes * lanes; }

template <class T> struct DistanceWork {
    const WholeQuestion<T>& question;
    Buffer<T>& noisy;  // [B, padded d]
    double* distances;

    static void run(void* self, std::int64_t unit) { static_cast<DistanceWork*>(self)->run_unit(unit); }

    void run_unit(std::int64_t unit) {
        using V = Lanes<T>;
        const WholeQuestion<T>& q = question;
        const std::int64_t step = padded(q.size, V::count);
        const int first = int(unit) * images_at_once;
        const int last = first + std::min(images_at_once, q.count - first);
        for (int image = first; image < last; ++image)
            for (int b = 0; b < q.batch; ++b) {
                const T* other = noisy.get() + b * step;
                V sum = V::all(T(0));
                each_vector(q, image, [&](std::int64_t j, V x) {
                    const V apart = V::load(other + j) - x;
                    sum = V::fused(apart, apart, sum);
                });
                alignas(64) T lanes[V::count];
                sum.store(lanes);
                double total = 0;
                for (const T lane : lanes) total += lane;
                distances[std::int64_t(b) * q.count + image] = total;
            }
    }
};

template <class T>
void distances(const WholeQuestion<T>& question, const T* noisy, double* distances) {
    const std::int64_t step = padded(question.size, Lanes<T>::count);
    Buffer<T> laid(std::size_t(step) * question.batch);
    laid.fill(0);
    for (int b = 0; b < question.batch; ++b)
        std::copy(noisy + b * question.size, noisy + (b + 1) * question.size, laid.get() + b * step);
    DistanceWork<T> work{question, laid, distances};
    const std::int64_t units = (std::int64_t(question.count) + images_at_once - 1) / images_at_once;
    in_parallel(units, question.threads, &DistanceWork<T>::run, &work);
}

// The values are cut into units, so that each is added up by one thread, image by image.
template <class T> struct AverageWork {
    const WholeQuestion<T>& question;
    const T* weights;
    double* average;
    static constexpr std::int64_t values = 256;

    static void run(void* self, std::int64_t unit) { static_cast<AverageWork*>(self)->run_unit(unit); }

    void run_unit(std::int64_t unit) {
        const WholeQuestion<T>& q = question;
        const std::int64_t first = unit * values, last = std::min(first + values, q.size);
        for (int b = 0; b < q.batch; ++b) {
            double* total = average + b * q.size;
            std::fill(total + first, total + last, 0.0);
            for (int start = 0; start < q.count; start += images_at_once) {
                T sums[values] = {};
                const int stop = start + std::min(images_at_once, q.count - start);
                for (int image = start; image < stop; ++image)
                    add(weights[std::int64_t(b) * q.count + image], image, first, last, sums);
                for (std::int64_t j = first; j < last; ++j) total[j] += sums[j - first];
            }
        }
    }

    void add(T weight, std::int64_t image, std::int64_t first, std::int64_t last, T* sums) const {
        if (weight == 0) return;
        const std::int64_t start = image * question.size;
        const T unit = weight / T(127.5);
        if (question.bytes)
            for (std::int64_t j = first; j < last; ++j)
                sums[j - first] += unit * T(question.bytes[start + j]) - weight;
        else
            for (std::int64_t j = first; j < last; ++j)
                sums[j - first] += weight * question.values[start + j];
    }
};

template <class T>
void average(const WholeQuestion<T>& question, const T* weights, double* average) {
    AverageWork<T> work{question, weights, average};
    const std::int64_t values = AverageWork<T>::values;
    const std::int64_t units = (question.size + values - 1) / values;
    in_parallel(units, question.threads, &AverageWork<T>::run, &work);
}
