// Small random questions through the kernels of every instruction set, beside plain loops.
//
//     make sanitize        builds this with the address and undefined-behaviour sanitizers, and runs it
#include <cstdio>
#include <cstdlib>

#include "../choice.hpp"
#include "naive.hpp"

using namespace scoremachines;
using naive::Asked;

namespace {

int failures = 0;

void expect(double found, double known, double tolerance, const char* what) {
    const bool same = found == known || std::abs(found - known) <= tolerance * (10 + std::abs(known));
    if (same) return;
    if (++failures <= 10) std::printf("%s: %.9g, not %.9g\n", what, found, known);
}

template <class T> double rounding() { return 64 * double(std::numeric_limits<T>::epsilon()); }

// What all pairs of one noisy image say of one pixel.
struct Pixel {
    double log_weight = 0, entropy = 0;
    std::vector<double> mean;
    std::vector<Source> sources;
};

template <class T>
Pixel pixel_of(const Asked<T>& asked, const std::vector<naive::Pair>& pairs, int pixel) {
    const auto& q = asked.question;
    double most = -HUGE_VAL, total = 0;
    for (const naive::Pair& pair : pairs)
        if (pair.pixel == pixel) most = std::max(most, pair.source.weight);
    Pixel result;
    result.mean.resize(q.channels);
    for (const naive::Pair& pair : pairs) {
        if (pair.pixel != pixel) continue;
        const double apart = pair.source.weight - most, share = std::exp(apart);
        const int row = int(pair.source.position / q.width), column = int(pair.source.position % q.width);
        total += share;
        result.entropy -= share * apart;
        for (int c = 0; c < q.channels; ++c)
            result.mean[c] += share * naive::clean(asked, pair.image, c, row, column);
        result.sources.push_back(pair.source);
    }
    for (double& value : result.mean) value /= total;
    result.log_weight = most + std::log(total);
    result.entropy = result.entropy / total + std::log(total);
    std::sort(result.sources.begin(), result.sources.end(), before);
    return result;
}

template <class T> void check_posterior(const Kernels<T>& kernels, const Asked<T>& asked) {
    const auto& q = asked.question;
    const int pixels = q.height * q.width, best = q.best;
    std::vector<double> log_weight(q.batch * pixels), entropy(q.batch * pixels);
    std::vector<T> mean(q.batch * q.channels * pixels);
    std::vector<double> weight(q.batch * best * pixels);
    std::vector<std::int64_t> image(weight.size()), position(weight.size());
    kernels.posterior(q, {log_weight.data(), mean.data(), entropy.data(), weight.data(), image.data(),
                          position.data()});
    for (int b = 0; b < q.batch; ++b) {
        const std::vector<naive::Pair> pairs = naive::pairs_of(asked, b, true);
        for (int u = 0; u < pixels; ++u) {
            const Pixel known = pixel_of(asked, pairs, u);
            const double scale = rounding<T>() * (10 + std::abs(known.log_weight));
            expect(log_weight[b * pixels + u], known.log_weight, rounding<T>(), "log-weight");
            for (int c = 0; c < q.channels; ++c)
                expect(mean[(b * q.channels + c) * pixels + u], known.mean[c], scale, "mean");
            if (best) expect(entropy[b * pixels + u], known.entropy, 20 * scale, "entropy");
            for (int k = 0; k < best; ++k) {
                const std::size_t at = std::size_t(b * best + k) * pixels + u;
                const bool present = std::size_t(k) < known.sources.size();
                if ((image[at] >= 0) != present) ++failures;
                if (present) expect(weight[at], known.sources[k].weight, rounding<T>(), "source");
            }
        }
    }
}

// With all pairs drawn the moments are those of the posterior; with few, nothing outside may be touched.
template <class T> void check_sampled(const Kernels<T>& kernels, const Asked<T>& asked, std::mt19937& draw) {
    Question<T> q = asked.question;
    const int pixels = q.height * q.width;
    if (q.bias != nullptr) return;
    q.best = 0;
    q.seed = draw();
    std::vector<double> log_weight(q.batch * pixels), threshold(log_weight.size(), -HUGE_VAL);
    std::vector<T> means(2 * q.batch * q.channels * pixels);
    q.threshold = threshold.data();
    Answer<T> answer{};
    answer.log_weight = log_weight.data();
    answer.mean = means.data();
    kernels.posterior(q, answer);
    for (int b = 0; b < q.batch; ++b) {
        const std::vector<naive::Pair> pairs = naive::pairs_of(asked, b, true);
        for (int u = 0; u < pixels; ++u) {
            const Pixel known = pixel_of(asked, pairs, u);
            const double scale = rounding<T>() * (10 + std::abs(known.log_weight));
            expect(log_weight[b * pixels + u], known.log_weight, rounding<T>(), "sampled log-weight");
            for (int c = 0; c < q.channels; ++c)
                expect(means[(2 * b * q.channels + c) * pixels + u], known.mean[c], scale, "sampled mean");
        }
    }
    for (double& one : threshold) one = std::normal_distribution<double>(0, 20)(draw);
    kernels.posterior(q, answer);
}

template <class T> void check_evidence(const Kernels<T>& kernels, const Asked<T>& asked) {
    const auto& q = asked.question;
    const std::size_t pixels = std::size_t(q.height) * q.width;
    std::vector<T> evidence(q.batch * q.count * pixels);
    kernels.evidence(q, evidence.data());
    for (int b = 0; b < q.batch; ++b) {
        std::vector<double> most(q.count * pixels, -HUGE_VAL), sums(q.count * pixels, 0.0);
        const std::vector<naive::Pair> pairs = naive::pairs_of(asked, b, false);
        for (const naive::Pair& pair : pairs) {
            double& here = most[pair.image * pixels + pair.pixel];
            here = std::max(here, pair.source.weight);
        }
        for (const naive::Pair& pair : pairs) {
            const std::size_t at = pair.image * pixels + pair.pixel;
            sums[at] += std::exp(pair.source.weight - most[at]);
        }
        for (std::size_t at = 0; at < most.size(); ++at)
            expect(evidence[b * q.count * pixels + at], most[at] + std::log(sums[at]), rounding<T>(),
                   "evidence");
    }
}

// The gradient of sources that pull as they like, patch by patch; and the mean colours of images.
template <class T> void check_gradient(const Kernels<T>& kernels, const Asked<T>& asked, std::mt19937& draw) {
    Question<T> q = asked.question;
    q.bias = nullptr;
    q.best = 0;
    const int pixels = q.height * q.width, fields = q.channels + 1, radius = q.window / 2;
    const bool of_images = naive::below(draw, 2), periodic = q.noisy_height > q.height + q.window - 1;
    const int images = of_images ? q.count : 1;
    std::vector<T> direction(q.batch * q.channels * pixels), means(q.batch * q.count * q.channels * pixels);
    std::vector<double> evidence(q.batch * q.count * pixels), colours(means.size(), 0.0);
    std::vector<double> level(q.batch * images * pixels, -HUGE_VAL), gain(level.size()), offset(level.size());
    naive::fill(draw, direction, 1);
    naive::fill(draw, gain, 1);
    naive::fill(draw, offset, 1);
    kernels.moments(q, evidence.data(), means.data());
    std::vector<double> known(q.batch * fields * pixels, 0.0), sums(known), total(evidence.size(), 0.0);
    const auto at = [&](int b, const naive::Pair& pair) {
        return (std::size_t(b) * images + (of_images ? pair.image : 0)) * pixels + pair.pixel;
    };
    for (int b = 0; b < q.batch; ++b) {
        const std::vector<naive::Pair> pairs = naive::pairs_of(asked, b, false);
        for (const naive::Pair& pair : pairs) level[at(b, pair)] = std::max(level[at(b, pair)], pair.source.weight);
        for (const naive::Pair& pair : pairs) {
            const int row = int(pair.source.position / q.width), column = int(pair.source.position % q.width);
            double colour = 0;
            const std::size_t image = std::size_t(b) * q.count + pair.image, own = image * pixels + pair.pixel;
            const double share = std::exp(pair.source.weight - evidence[own]);
            total[own] += share;
            for (int c = 0; c < q.channels; ++c) {
                const double value = naive::clean(asked, pair.image, c, row, column);
                colour += direction[(b * q.channels + c) * pixels + pair.pixel] * value;
                colours[(image * q.channels + c) * pixels + pair.pixel] += share * value;
            }
            const double pull = std::exp(pair.source.weight - level[at(b, pair)]) *
                                (gain[at(b, pair)] * colour + offset[at(b, pair)]);
            for (int a = -radius; a <= radius; ++a)
                for (int d = -radius; d <= radius; ++d) {
                    int r = pair.pixel / q.width + a, w = pair.pixel % q.width + d;
                    if (periodic) r = (r + q.height) % q.height, w = (w + q.width) % q.width;
                    if (r < 0 || w < 0 || r >= q.height || w >= q.width) continue;
                    double* to = &known[std::size_t(b) * fields * pixels + r * q.width + w];
                    to[q.channels * pixels] += pull;
                    for (int c = 0; c < q.channels; ++c)
                        to[c * pixels] += pull * naive::clean(asked, pair.image, c, row + a, column + d);
                }
        }
    }
    kernels.gradient(q, {of_images, direction.data(), level.data(), gain.data(), offset.data()}, sums.data());
    const double most = *std::max_element(level.begin(), level.end());
    const double deep = std::max(-*std::min_element(level.begin(), level.end()), most);
    for (std::size_t j = 0; j < known.size(); ++j)
        expect(sums[j], known[j], rounding<T>() * (10 + deep) * q.window * q.window, "gradient");
    for (std::size_t j = 0; j < total.size(); ++j) {
        const double scale = rounding<T>() * (10 + std::abs(evidence[j]));
        expect(total[j], 1, scale, "evidence of moments");
        for (int c = 0; c < q.channels; ++c) {
            const std::size_t at = (j / pixels * q.channels + c) * pixels + j % pixels;
            expect(means[at], colours[at] / total[j], scale, "mean colour");
        }
    }
}

// The entropies of pairs of pixels, in plain loops.
void check_pairs(const Kernels<double>& kernels, std::mt19937& draw) {
    const int pixels = 1 + naive::below(draw, 40), count = 1 + naive::below(draw, 40);
    std::vector<double> evidence(std::size_t(pixels) * count), tables(std::size_t(4) * pixels * pixels);
    naive::fill(draw, evidence, std::pow(10.0, naive::below(draw, 6) - 2));
    kernels.pairs({pixels, count, evidence.data(), tables.data(), 1 + naive::below(draw, 3)});
    for (int u = 0; u < pixels; ++u)
        for (int y = 0; y < pixels; ++y) {
            std::vector<double> sums(count);
            for (int i = 0; i < count; ++i) sums[i] = evidence[u * count + i] + evidence[y * count + i];
            std::sort(sums.rbegin(), sums.rend());
            const double second = sums[std::min(1, count - 1)];
            double rest = 0, gaps = 0;
            for (int i = 1; i < count; ++i) {
                rest += std::exp(sums[i] - second);
                gaps += (sums[0] - sums[i]) * std::exp(sums[i] - second);
            }
            const double known[] = {sums[0], sums[0] - second, rest, gaps};
            for (int field = 0; field < 4; ++field)
                expect(tables[(std::size_t(field) * pixels + u) * pixels + y], known[field], 1e-10, "pairs");
        }
}

#include "check_smooth.hpp"

template <class T> void check_whole(const Kernels<T>& kernels, const Asked<T>& asked, std::mt19937& draw) {
    const auto& q = asked.question;
    WholeQuestion<T> whole{q.batch, q.count, std::int64_t(asked.values.size()) / q.count,
                           q.bytes, q.values, q.threads};
    std::vector<T> noisy(q.batch * whole.size), weights(q.batch * q.count);
    naive::fill(draw, noisy, 1);
    naive::fill(draw, weights, 1);
    std::vector<double> distances(q.batch * q.count), average(q.batch * whole.size);
    kernels.distances(whole, noisy.data(), distances.data());
    kernels.average(whole, weights.data(), average.data());
    for (int b = 0; b < q.batch; ++b) {
        std::vector<double> sums(whole.size, 0.0);
        for (int i = 0; i < q.count; ++i) {
            double distance = 0;
            for (std::int64_t j = 0; j < whole.size; ++j) {
                const double value = asked.values[i * whole.size + j];
                distance += std::pow(noisy[b * whole.size + j] - value, 2);
                sums[j] += weights[b * q.count + i] * value;
            }
            expect(distances[b * q.count + i], distance, rounding<T>(), "distance");
        }
        for (std::int64_t j = 0; j < whole.size; ++j)
            expect(average[b * whole.size + j], sums[j], rounding<T>(), "average");
    }
}

template <class T> void check(const Kernels<T>& kernels, int rounds) {
    std::mt19937 draw(0);
    for (int round = 0; round < rounds; ++round) {
        Asked<T> asked;
        naive::draw_question(draw, asked);
        check_posterior(kernels, asked);
        check_sampled(kernels, asked, draw);
        check_evidence(kernels, asked);
        check_gradient(kernels, asked, draw);
        check_whole(kernels, asked, draw);
        check_smooth(kernels, draw);
        if constexpr (std::is_same_v<T, double>) check_pairs(kernels, draw);
    }
}

}  // namespace

int main(int count, char** words) {
    const int rounds = count > 1 ? std::atoi(words[1]) : 100;
    for (const InstructionSet& set : instruction_sets()) {
        check(*set.floats, rounds);
        check(*set.doubles, rounds);
        std::printf("%s: %d questions in each precision\n", set.name.c_str(), rounds);
    }
    if (failures) std::printf("%d values differ\n", failures);
    return failures ? 1 : 0;
}
