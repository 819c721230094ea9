// Powers of two of a vector.
#pragma once

// exp r for |r| up to ln 2 / 2. In float32 the polynomial of 5th degree with the least relative
// error, 9e-8, of those that are exact at 0; in float64 the series.
template <class T> struct Precision;
template <> struct Precision<float> {
    static constexpr float least_power = -126;  // two to it is a normal number
    static constexpr int digits = 24;           // of two
    static constexpr int degree = 5;
    static constexpr double term(int n) {
        constexpr double terms[] = {1.0,         0.9999997072, 0.4999914953,
                                    0.166676362, 0.0418979296, 0.008290314756};
        return terms[n];
    }
};
template <> struct Precision<double> {
    static constexpr double least_power = -1022;
    static constexpr int digits = 53;
    static constexpr int degree = 13;
    static constexpr double term(int n) { return n < 2 ? 1 : term(n - 1) / n; }
};

constexpr double ln2 = 0.69314718055994530942, log2_of_e = 1.44269504088896340736;

// The coefficients of r^n in 2^r: a table, for compilers leave a recursion to be run.
template <class T> struct Coefficients {
    T of[Precision<T>::degree + 1] = {};
    constexpr Coefficients() {
        double power = 1;
        for (int n = 0; n <= Precision<T>::degree; ++n, power *= ln2)
            of[n] = static_cast<T>(Precision<T>::term(n) * power);
    }
};

template <class T, int degree = Precision<T>::degree> IN_PLACE Lanes<T> polynomial(Lanes<T> r) {
    constexpr Coefficients<T> coefficient;
    Lanes<T> sum = Lanes<T>::all(coefficient.of[degree]);
#pragma GCC unroll 13
    for (int term = degree - 1; term >= 0; --term)
        sum = Lanes<T>::fused(sum, r, Lanes<T>::all(coefficient.of[term]));
    return sum;
}

// 2^x for x of at most 110; what lies below `least_power` may be raised to it.
template <class T> IN_PLACE Lanes<T> power_of_two(Lanes<T> x) {
    using V = Lanes<T>;
    if (!V::any_power) x = V::larger(x, V::all(Precision<T>::least_power));
    const V n = V::rounded(x);
    return V::times_power(polynomial<T>(x - n), n);
}
