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
    static Pair larger(Pair a, Pair b) {
        return {V::larger(a.first, b.first), V::larger(a.second, b.second)};
    }
    V largest_of_both() const { return V::larger(first, second); }
};

// Values as they are.
template <class T> struct Plain {
    using Unit = T;
    static constexpr int size = Pair<T>::count;  // of one channel of one pixel
    static constexpr T scale = 1;                // what is stored over the value

    static void put(Unit* to, int lane, T value) { to[lane] = value; }
    static Pair<T> get(const Unit* from) { return Pair<T>::load(from); }
};

// Bytes b, of value b/127.5 − 1, as the whole numbers 2b − 255. These have eight significant bits, so
// the upper half of a float holds them; the lower half holds the number of another image. Half the
// memory is read, and a shift or a mask makes floats of it.
struct Packed {
    using Unit = std::uint32_t;
    static constexpr int size = Lanes<float>::count;
    static constexpr float scale = 255;

    static void put(Unit* to, int lane, int byte) {
        const float value = static_cast<float>(2 * byte - 255);
        Unit bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        if (lane < size)
            to[lane] |= bits >> 16;
        else
            to[lane - size] |= bits;
    }
    static Pair<float> get(const Unit* from) {
        return {Lanes<float>::lower_halves(from), Lanes<float>::upper_halves(from)};
    }
};
