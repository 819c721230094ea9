// Eight floats or four doubles at a time: AVX2 and FMA.
#pragma once

template <class T> struct Lanes;

template <> struct Lanes<float> {
    static constexpr int count = 8;
    static constexpr bool any_power = false;
    __m256 value;

    static Lanes load(const float* from) { return {_mm256_load_ps(from)}; }
    static Lanes all(float value) { return {_mm256_set1_ps(value)}; }
    void store(float* to) const { _mm256_store_ps(to, value); }
    friend Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_ps(a.value, b.value)}; }
    friend Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_ps(a.value, b.value)}; }
    friend Lanes operator*(Lanes a, Lanes b) { return {_mm256_mul_ps(a.value, b.value)}; }
    static Lanes fused(Lanes a, Lanes b, Lanes c) {
        return {_mm256_fmadd_ps(a.value, b.value, c.value)};
    }
    // c − a · b.
    static Lanes less(Lanes a, Lanes b, Lanes c) {
        return {_mm256_fnmadd_ps(a.value, b.value, c.value)};
    }
    static Lanes larger(Lanes a, Lanes b) { return {_mm256_max_ps(a.value, b.value)}; }
    static bool any_above(Lanes a, Lanes b) {
        return _mm256_movemask_ps(_mm256_cmp_ps(a.value, b.value, _CMP_GT_OQ)) != 0;
    }
    // Where a > b the first of two, else the second.
    static Lanes choose_above(Lanes a, Lanes b, Lanes yes, Lanes no) {
        return {_mm256_blendv_ps(no.value, yes.value,
                                 _mm256_cmp_ps(a.value, b.value, _CMP_GT_OQ))};
    }
    static Lanes rounded(Lanes a) {
        return {_mm256_round_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    }
    // a · 2^n for whole n within the range of exponents.
    static Lanes times_power(Lanes a, Lanes n) {
        const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n.value), 23);
        return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.value), power))};
    }
    float largest() const {
        __m128 half = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
        half = _mm_max_ps(half, _mm_movehl_ps(half, half));
        return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
    }
    static Lanes from_bytes(const unsigned char* from) {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
        return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))};
    }
    // What the lower, and the upper, halves of some words are as the upper halves of floats.
    static void halves(const std::uint32_t* from, Lanes& lower, Lanes& upper) {
        const __m256i words = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
        const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000));
        lower.value = _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
        upper.value = _mm256_castsi256_ps(_mm256_and_si256(words, mask));
    }
    static Lanes load_any(const float* from) { return {_mm256_loadu_ps(from)}; }
};

template <> struct Lanes<double> {
    static constexpr int count = 4;
    static constexpr bool any_power = false;
    __m256d value;

    static Lanes load(const double* from) { return {_mm256_load_pd(from)}; }
    static Lanes all(double value) { return {_mm256_set1_pd(value)}; }
    void store(double* to) const { _mm256_store_pd(to, value); }
    friend Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_pd(a.value, b.value)}; }
    friend Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_pd(a.value, b.value)}; }
    friend Lanes operator*(Lanes a, Lanes b) { return {_mm256_mul_pd(a.value, b.value)}; }
    static Lanes fused(Lanes a, Lanes b, Lanes c) {
        return {_mm256_fmadd_pd(a.value, b.value, c.value)};
    }
    static Lanes less(Lanes a, Lanes b, Lanes c) {
        return {_mm256_fnmadd_pd(a.value, b.value, c.value)};
    }
    static Lanes larger(Lanes a, Lanes b) { return {_mm256_max_pd(a.value, b.value)}; }
    static Lanes smaller(Lanes a, Lanes b) { return {_mm256_min_pd(a.value, b.value)}; }
    static bool any_above(Lanes a, Lanes b) {
        return _mm256_movemask_pd(_mm256_cmp_pd(a.value, b.value, _CMP_GT_OQ)) != 0;
    }
    static Lanes choose_above(Lanes a, Lanes b, Lanes yes, Lanes no) {
        return {_mm256_blendv_pd(no.value, yes.value,
                                 _mm256_cmp_pd(a.value, b.value, _CMP_GT_OQ))};
    }
    static Lanes rounded(Lanes a) {
        return {_mm256_round_pd(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    }
    static Lanes times_power(Lanes a, Lanes n) {
        const __m256i whole = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n.value));
        const __m256i power = _mm256_slli_epi64(whole, 52);
        return {_mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a.value), power))};
    }
    double largest() const {
        __m128d half = _mm_max_pd(_mm256_castpd256_pd128(value), _mm256_extractf128_pd(value, 1));
        return _mm_cvtsd_f64(_mm_max_sd(half, _mm_unpackhi_pd(half, half)));
    }
    static Lanes from_bytes(const unsigned char* from) {
        double values[4];
        for (int lane = 0; lane < 4; ++lane) values[lane] = from[lane];
        return load_any(values);
    }
    static Lanes load_any(const double* from) { return {_mm256_loadu_pd(from)}; }
};
