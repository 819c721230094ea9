// What is asked of the kernels, and what they answer: the same for every instruction set.
#pragma once

#include <cstdint>
#include <vector>

namespace scoremachines {

// Along one axis, pixels query .. query+length draw from positions source .. source+length.
struct Run {
    int query, source, length;
};

// Log-weight of what has not been seen: far below any other, yet finite.
constexpr double never = -1e30;

template <class T> struct Question {
    int batch, channels, height, width, count, window;
    int frame;     // width of the margin around training images, pixels
    bool wrapped;  // whether they continue there on their other side; else zeros
    const T* noisy;  // φ/√ᾱ [B, C, noisy_height, noisy_width], with the margins that the runs need
    int noisy_height, noisy_width;
    const double* scale;  // −ᾱ / (2(1−ᾱ)) [B]
    const unsigned char* bytes;  // training images [n, C, H, W] as bytes, or
    const T* values;             // as values in [-1, 1]
    const T* bias;               // Π_u(i) [B, n, H, W], or null
    const std::int64_t* index;   // places of the images in the training set [n]
    std::vector<Run> rows, columns;
    int best;       // K, sources to keep for every pixel
    double depth;   // log-weights this far below the largest count for nothing, nats
    double rounding;  // what products may lose of a log-weight, nats
    const double* threshold;  // ℓ below which pairs are drawn by chance [B, H, W]; null: all count
    std::uint64_t seed;       // of what decides which
    int threads;
};

// One of the best sources of a pixel.
struct Source {
    double weight;
    std::int64_t image, position;
};

// Equal weights are ordered by image, then by position.
inline bool before(const Source& a, const Source& b) {
    if (a.weight != b.weight) return a.weight > b.weight;
    if (a.image != b.image) return a.image < b.image;
    return a.position < b.position;
}

// Pointers to results: [B, H, W], the mean [B, C, H, W], the sources [B, K, H, W].
template <class T> struct Answer {
    double* log_weight;
    T* mean;
    double* entropy;  // null where best = 0, as the three below
    double* source_weight;
    std::int64_t* source_image;
    std::int64_t* source_position;
};

// How much sources pull at the noisy images: exp(ℓ − level) (gain ⟨g, x⟩ + offset) (theory 2.8).
template <class T> struct Pulls {
    bool of_images;        // whether the three are [B, n, H, W], not [B, 1, H, W]
    const T* direction;    // g [B, C, H, W]
    const double* level;   // nats
    const double *gain, *offset;
};

// Images as a whole: B noisy ones before n training images of d values each.
template <class T> struct WholeQuestion {
    int batch, count;
    std::int64_t size;
    const unsigned char* bytes;  // [n, d], or
    const T* values;
    int threads;
};

// The evidence of P pixels for n images, and tables over pairs of pixels (pairs.hpp).
template <class T> struct PairQuestion {
    int pixels, count;
    const T* evidence;  // E [P, n], nats
    T* tables;          // [4, P, P]
    int threads;
};

// R pixels before M sources at S scales with a width, by products (theory 2.9): the log-weight is
//     level_rs + Σ_j left_rsj projected_mj − length_sm
template <class T> struct SmoothQuestion {
    int pixels, scales, length, sources, channels;
    const T* left;       // [R, S, d]
    const T* level;      // [R, S], nats
    const T* projected;  // [M, d]
    const T* lengths;    // [S, M], nats
    const T* colours;    // [S, M, C]
    int threads;
};

// For each pixel `log Σ exp`, the share of each scale in it, and the mean colour.
struct SmoothAnswer {
    double *log_weight, *share, *colour;  // [R], [R, S], [R, C]
};

// The kernels of one instruction set.
template <class T> struct Kernels {
    void (*posterior)(const Question<T>&, const Answer<T>&);
    void (*evidence)(const Question<T>&, T* evidence);  // [B, n, H, W], log Σ_v exp ℓ
    // The same in double, and the mean of x under exp ℓ [B, n, C, H, W].
    void (*moments)(const Question<T>&, double* evidence, T* means);
    // Σ c x and Σ c over the sources whose windows a pixel lies in [B, C + 1, H, W].
    void (*gradient)(const Question<T>&, const Pulls<T>&, double* sums);
    // ‖φ/√ᾱ − x‖² [B, n], given φ/√ᾱ [B, d].
    void (*distances)(const WholeQuestion<T>&, const T* noisy, double* distances);
    // Σ_i w_i x_i [B, d], given w [B, n].
    void (*average)(const WholeQuestion<T>&, const T* weights, double* average);
    void (*pairs)(const PairQuestion<T>&);  // in double alone
    void (*smooth)(const SmoothQuestion<T>&, const SmoothAnswer&);
};

// Runs work(data, unit) for units 0 .. units-1 on some threads; the first exception is thrown.
void in_parallel(std::int64_t units, int threads, void (*work)(void*, std::int64_t unit), void* data);

}  // namespace scoremachines
