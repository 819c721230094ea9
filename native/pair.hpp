// Two vectors side by side hold one number of each image that is taken at once; and how the values
// of these images are stored.
#pragma once

template <class T> struct Pair {
    using V = Lanes<T>;
    static constexpr int count = 2 * V::count;
    V first, second;

    static Pair load(const T* from) { return {V::load(from), V::load(from + V::count)}; }
    static Pair all(T value) { return {V::all(value), V::all(value)}; }
    void store(T* to) const {
        first.store(to);
        second.store(to + V::count);
    }
    friend Pair operator+(Pair a, Pair b) { return {a.first + b.first, a.second + b.second}; }
    friend Pair operator-(Pair a, Pair b) { return {a.first - b.first, a.second - b.second}; }
    friend Pair operator*(Pair a, Pair b) { return {a.first * b.first, a.second * b.second}; }
    static Pair fused(Pair a, Pair b, Pair c) {
        return {V::fused(a.first, b.first, c.first), V::fused(a.second, b.second, c.second)};
    }
    static Pair less(Pair a, Pair b, Pair c) {
        return {V::less(a.first, b.first, c.first), V::less(a.second, b.second, c.second)};
    }
    static Pair larger(Pair a, Pair b) {
        return {V::larger(a.first, b.first), V::larger(a.second, b.second)};
    }
    V largest_of_both() const { return V::larger(first, second); }
};

// The sum over the lanes of one vector.
template <class T> APART double across(const T* values) {
    return std::accumulate(values, values + Lanes<T>::count, 0.0);
}

// Values as they are.
template <class T> struct Plain {
    using Unit = T;
    static constexpr int size = Pair<T>::count;  // of one channel of one pixel
    static constexpr T scale = 1;                // what is stored over the value

    static Pair<T> get(const Unit* from) { return Pair<T>::load(from); }
};

// Bytes b, of value b/127.5 − 1, as the whole numbers 2b − 255. These have eight significant bits, so
// the upper half of a float holds them; the lower half holds the number of another image. Half the
// memory is read, and a shift or a mask makes floats of it.
struct Packed {
    using Unit = std::uint32_t;
    static constexpr int size = Lanes<float>::count;
    static constexpr float scale = 255;

    // What a byte is in the upper half of a word.
    static Unit upper(int byte) {
        const float value = static_cast<float>(2 * byte - 255);
        Unit bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        return bits;
    }
    // Bytes of all lanes, as they are laid out.
    IN_PLACE static void put(const unsigned char* from, Unit* to) {
        for (int lane = 0; lane < size; ++lane) {
            const float lower = static_cast<float>(2 * int(from[lane]) - 255);
            const float upper = static_cast<float>(2 * int(from[size + lane]) - 255);
            Unit low, high;
            __builtin_memcpy(&low, &lower, sizeof low);
            __builtin_memcpy(&high, &upper, sizeof high);
            to[lane] = high | low >> 16;
        }
    }
    static Pair<float> get(const Unit* from) {
        Pair<float> values;
        Lanes<float>::halves(from, values.first, values.second);
        return values;
    }
};

// What is at G displacements side by side. Not an array, which compilers would not keep in registers.
template <class V, int G> struct Beside {
    V one;
    Beside<V, G - 1> rest;

    template <class T> IN_PLACE static Beside load(const T* from) {
        return {V::load(from), Beside<V, G - 1>::load(from + V::count)};
    }
    template <class T> IN_PLACE void store(T* to) const {
        one.store(to);
        rest.store(to + V::count);
    }
    template <class T> IN_PLACE void store(T* const* to, std::ptrdiff_t place) const {
        one.store(to[0] + place);
        rest.store(to + 1, place);
    }
    IN_PLACE static Beside all(V value) { return {value, Beside<V, G - 1>::all(value)}; }
    IN_PLACE friend Beside operator+(Beside a, Beside b) { return {a.one + b.one, a.rest + b.rest}; }
    IN_PLACE friend Beside operator-(Beside a, Beside b) { return {a.one - b.one, a.rest - b.rest}; }
    // a(g) · b + c, and c − a(g) · b, where a(g) is that of the g-th displacement.
    template <int g = 0, class Value> IN_PLACE static Beside fused(const Value& a, V b, Beside c) {
        return {V::fused(a(g), b, c.one), Beside<V, G - 1>::template fused<g + 1>(a, b, c.rest)};
    }
    template <int g = 0, class Value> IN_PLACE static Beside less(const Value& a, V b, Beside c) {
        return {V::less(a(g), b, c.one), Beside<V, G - 1>::template less<g + 1>(a, b, c.rest)};
    }
};
template <class V> struct Beside<V, 0> {
    template <class T> IN_PLACE static Beside load(const T*) { return {}; }
    template <class T> IN_PLACE void store(T*) const {}
    template <class T> IN_PLACE void store(T* const*, std::ptrdiff_t) const {}
    IN_PLACE static Beside all(V) { return {}; }
    IN_PLACE friend Beside operator+(Beside, Beside) { return {}; }
    IN_PLACE friend Beside operator-(Beside, Beside) { return {}; }
    template <int, class Value> IN_PLACE static Beside fused(const Value&, V, Beside) { return {}; }
    template <int, class Value> IN_PLACE static Beside less(const Value&, V, Beside) { return {}; }
};
