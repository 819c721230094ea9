// Sixteen floats or eight doubles at a time: AVX-512 (F and DQ).
#pragma once

template <class T> struct Lanes;

template <> struct Lanes<float> {
    static constexpr int count = 16;
    static constexpr bool any_power = true;
    __m512 value;

    static Lanes load(const float* from) { return {_mm512_load_ps(from)}; }
    static Lanes all(float value) { return {_mm512_set1_ps(value)}; }
    void store(float* to) const { _mm512_store_ps(to, value); }
    friend Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.value, b.value)}; }
    friend Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.value, b.value)}; }
    friend Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.value, b.value)}; }
    static Lanes fused(Lanes a, Lanes b, Lanes c) {
        return {_mm512_fmadd_ps(a.value, b.value, c.value)};
    }
    // c − a · b.
    static Lanes less(Lanes a, Lanes b, Lanes c) {
        return {_mm512_fnmadd_ps(a.value, b.value, c.value)};
    }
    static Lanes larger(Lanes a, Lanes b) { return {_mm512_max_ps(a.value, b.value)}; }
    static bool any_above(Lanes a, Lanes b) {
        return _mm512_cmp_ps_mask(a.value, b.value, _CMP_GT_OQ) != 0;
    }
    // Where a > b the first of two, else the second.
    static Lanes choose_above(Lanes a, Lanes b, Lanes yes, Lanes no) {
        return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.value, b.value, _CMP_GT_OQ), no.value,
                                     yes.value)};
    }
    static Lanes rounded(Lanes a) {
        return {_mm512_roundscale_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    }
    // a · 2^n for whole n: 0 where that is too small.
    static Lanes times_power(Lanes a, Lanes n) { return {_mm512_scalef_ps(a.value, n.value)}; }
    float largest() const { return _mm512_reduce_max_ps(value); }
    static Lanes from_bytes(const unsigned char* from) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
    }
    // What the lower, and the upper, halves of some words are as the upper halves of floats.
    static void halves(const std::uint32_t* from, Lanes& lower, Lanes& upper) {
        __m512i words = _mm512_load_si512(from);
        asm("" : "+v"(words));  // else it would be loaded twice
        const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000));
        lower.value = _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
        upper.value = _mm512_castsi512_ps(_mm512_and_si512(words, mask));
    }
    static Lanes load_any(const float* from) { return {_mm512_loadu_ps(from)}; }
};

template <> struct Lanes<double> {
    static constexpr int count = 8;
    static constexpr bool any_power = true;
    __m512d value;

    static Lanes load(const double* from) { return {_mm512_load_pd(from)}; }
    static Lanes all(double value) { return {_mm512_set1_pd(value)}; }
    void store(double* to) const { _mm512_store_pd(to, value); }
    friend Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_pd(a.value, b.value)}; }
    friend Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_pd(a.value, b.value)}; }
    friend Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_pd(a.value, b.value)}; }
    static Lanes fused(Lanes a, Lanes b, Lanes c) {
        return {_mm512_fmadd_pd(a.value, b.value, c.value)};
    }
    static Lanes less(Lanes a, Lanes b, Lanes c) {
        return {_mm512_fnmadd_pd(a.value, b.value, c.value)};
    }
    static Lanes larger(Lanes a, Lanes b) { return {_mm512_max_pd(a.value, b.value)}; }
    static Lanes smaller(Lanes a, Lanes b) { return {_mm512_min_pd(a.value, b.value)}; }
    static bool any_above(Lanes a, Lanes b) {
        return _mm512_cmp_pd_mask(a.value, b.value, _CMP_GT_OQ) != 0;
    }
    static Lanes choose_above(Lanes a, Lanes b, Lanes yes, Lanes no) {
        return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.value, b.value, _CMP_GT_OQ), no.value,
                                     yes.value)};
    }
    static Lanes rounded(Lanes a) {
        return {_mm512_roundscale_pd(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    }
    static Lanes times_power(Lanes a, Lanes n) { return {_mm512_scalef_pd(a.value, n.value)}; }
    double largest() const { return _mm512_reduce_max_pd(value); }
    static Lanes from_bytes(const unsigned char* from) {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
        return {_mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(bytes))};
    }
    static Lanes load_any(const double* from) { return {_mm512_loadu_pd(from)}; }
};
