// A part of test_kernels.cpp: what is summed over sources with a width.
#pragma once

// Sources with a width, pair by pair.
template <class T> void check_smooth(const Kernels<T>& kernels, std::mt19937& draw) {
    const int pixels = 1 + naive::below(draw, 60), scales = 1 + naive::below(draw, 3);
    const int length = naive::below(draw, 20), sources = 1 + naive::below(draw, 600);
    const int channels = 1 + naive::below(draw, 4);
    const std::size_t pairs = std::size_t(scales) * sources;
    std::vector<T> left(std::size_t(pixels) * scales * length), level(pixels * scales), lengths(pairs);
    std::vector<T> projected(std::size_t(sources) * length), colours(pairs * channels);
    naive::fill(draw, left, naive::below(draw, 2) ? 1 : 5);
    naive::fill(draw, level, 3);
    naive::fill(draw, lengths, naive::below(draw, 2) ? 1 : 40);
    naive::fill(draw, projected, 1);
    naive::fill(draw, colours, 1);
    std::vector<double> log_weight(pixels), share(pixels * scales), colour(pixels * channels);
    kernels.smooth({pixels, scales, length, sources, channels, left.data(), level.data(), projected.data(),
                    lengths.data(), colours.data(), 1 + naive::below(draw, 3)},
                   {log_weight.data(), share.data(), colour.data()});
    for (int u = 0; u < pixels; ++u) {
        std::vector<double> logs(pairs), shares(scales, 0.0), means(channels, 0.0);
        for (std::size_t at = 0; at < pairs; ++at) {
            const std::size_t s = at / sources, m = at % sources;
            logs[at] = double(level[u * scales + s]) - lengths[at];
            for (int j = 0; j < length; ++j)
                logs[at] += double(left[(u * scales + s) * length + j]) * projected[m * length + j];
        }
        const double most = *std::max_element(logs.begin(), logs.end());
        double total = 0;
        for (const double each : logs) total += std::exp(each - most);
        for (std::size_t at = 0; at < pairs; ++at) {
            const double weight = std::exp(logs[at] - most) / total;
            shares[at / sources] += weight;
            for (int c = 0; c < channels; ++c) means[c] += weight * colours[at * channels + c];
        }
        const double scale = rounding<T>() * (30 + std::abs(most));
        expect(log_weight[u], most + std::log(total), rounding<T>() * 10, "smooth log-weight");
        for (int s = 0; s < scales; ++s) expect(share[u * scales + s], shares[s], scale, "share of a scale");
        for (int c = 0; c < channels; ++c) expect(colour[u * channels + c], means[c], scale, "smooth colour");
    }
}
