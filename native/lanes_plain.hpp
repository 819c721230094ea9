// Sixteen bytes at a time in the compiler's own vectors: SSE2, NEON, or whatever the target has.
#pragma once

template <class T> struct Lanes {
    static constexpr int count = 16 / sizeof(T);
    static constexpr bool any_power = false;
    typedef T Vector __attribute__((vector_size(16)));
    Vector value;

    static Lanes load(const T* from) { return load_any(from); }
    static Lanes all(T value) { return {Vector{} + value}; }
    void store(T* to) const { __builtin_memcpy(to, &value, sizeof value); }
    friend Lanes operator+(Lanes a, Lanes b) { return {a.value + b.value}; }
    friend Lanes operator-(Lanes a, Lanes b) { return {a.value - b.value}; }
    friend Lanes operator*(Lanes a, Lanes b) { return {a.value * b.value}; }
    static Lanes fused(Lanes a, Lanes b, Lanes c) { return {a.value * b.value + c.value}; }
    // c − a · b.
    static Lanes less(Lanes a, Lanes b, Lanes c) { return {c.value - a.value * b.value}; }
    static Lanes larger(Lanes a, Lanes b) { return choose_above(a, b, a, b); }
    static Lanes smaller(Lanes a, Lanes b) { return choose_above(a, b, b, a); }
    static bool any_above(Lanes a, Lanes b) {
        const auto above = a.value > b.value;
        bool any = false;
        for (int lane = 0; lane < count; ++lane) any |= above[lane] != 0;
        return any;
    }
    // Where a > b the first of two, else the second.
    static Lanes choose_above(Lanes a, Lanes b, Lanes yes, Lanes no) {
        return {a.value > b.value ? yes.value : no.value};
    }
    static Lanes rounded(Lanes a) {
        // Adding and taking away 1.5 · 2^(digits) leaves a whole number, rounded to nearest.
        const T large = sizeof(T) == 4 ? T(12582912) : T(6755399441055744);
        return {(a.value + large) - large};
    }
    // a · 2^n for whole n within the range of exponents.
    static Lanes times_power(Lanes a, Lanes n) {
        Lanes result;
        for (int lane = 0; lane < count; ++lane)
            result.value[lane] = a.value[lane] * power(static_cast<int>(n.value[lane]));
        return result;
    }
    static T power(int n) {
        if (sizeof(T) == 4) {
            const unsigned bits = static_cast<unsigned>(n + 127) << 23;
            float value;
            __builtin_memcpy(&value, &bits, sizeof value);
            return static_cast<T>(value);
        }
        const unsigned long long bits = static_cast<unsigned long long>(n + 1023) << 52;
        double value;
        __builtin_memcpy(&value, &bits, sizeof value);
        return static_cast<T>(value);
    }
    T largest() const {
        T most = value[0];
        for (int lane = 1; lane < count; ++lane) most = value[lane] > most ? value[lane] : most;
        return most;
    }
    static Lanes from_bytes(const unsigned char* from) {
        Lanes result;
        for (int lane = 0; lane < count; ++lane) result.value[lane] = from[lane];
        return result;
    }
    // What the lower, and the upper, halves of some words are as the upper halves of floats.
    static void halves(const std::uint32_t* from, Lanes& lower, Lanes& upper) {
        std::uint32_t low[count], high[count];
        for (int lane = 0; lane < count; ++lane) {
            low[lane] = from[lane] << 16;
            high[lane] = from[lane] & 0xffff0000u;
        }
        __builtin_memcpy(&lower.value, low, sizeof low);
        __builtin_memcpy(&upper.value, high, sizeof high);
    }
    static Lanes load_any(const T* from) {
        Lanes result;
        __builtin_memcpy(&result.value, from, sizeof result.value);
        return result;
    }
};
