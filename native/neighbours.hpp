// Sums over neighbours along a row, in registers.
#pragma once

// The last N values given. Not an array, which compilers would not keep in registers.
template <class V, int N> class Delay {
  public:
    // The value given `Back` times ago: 1 is the last one.
    template <int Back> IN_PLACE V ago() const {
        if constexpr (Back == 1)
            return last_;
        else
            return earlier_.template ago<Back - 1>();
    }
    IN_PLACE void take(V value) {
        earlier_.take(last_);
        last_ = value;
    }

  private:
    V last_ = V::all(0);
    Delay<V, N - 1> earlier_;
};
template <class V> class Delay<V, 0> {
  public:
    IN_PLACE void take(V) {}
};

// The sum of the last K values given, K odd, from sums of 2, 4, 8, … of them: about 2 log₂ K additions,
// no subtraction, and the same order wherever the window begins.
//
// A level holds sums of `Size` values. Those of the window that levels below have not yet added begin
// `Taken` values ago.
template <class V, int K, int Size = 1, int Taken = 0> class Neighbours {
    static constexpr bool adds = (K & Size) != 0, last = 2 * Size > K;
    static constexpr int kept = std::max(last ? 0 : Size, adds ? Taken : 0);

  public:
    // Given the sum of the last `Size` values, returns the part of the window from this level on.
    IN_PLACE V next(V value) {
        V sum = value;
        if constexpr (adds && Taken > 0) sum = past_.template ago<Taken>();
        if constexpr (!last) {
            const V rest = above_.next(past_.template ago<Size>() + value);
            sum = adds ? sum + rest : rest;
        }
        past_.take(value);
        return sum;
    }

  private:
    struct Nothing {};
    using Above = Neighbours<V, K, last ? K + 1 : 2 * Size, Taken + (adds ? Size : 0)>;
    Delay<V, kept> past_;
    std::conditional_t<last, Nothing, Above> above_;
};

// Calls take(j, sum) with the sums over 2R + 1 values from the j-th on, j < length: the rest of one block
// of R values, the sum of the next, and the beginning of the third. Four additions whatever R, but in an
// order that depends on j.
template <class V, int R, class Value, class Take>
IN_PLACE void sum_in_blocks(int length, const Value& value, const Take& take) {
    const int width = length + 2 * R;
    V rests[2][R], *before = rests[0], *between = rests[1];
    int start = 0;
    for (; start + R <= width; start += R) {
        V values[R], sums[R];
#pragma GCC unroll 9
        for (int r = 0; r < R; ++r) {
            values[r] = value(start + r);
            sums[r] = r ? sums[r - 1] + values[r] : values[r];
        }
        if (start >= 2 * R) {
            const V whole = between[0];
#pragma GCC unroll 9
            for (int r = 0; r < R; ++r) take(start + r - 2 * R, (before[r] + whole) + sums[r]);
        }
        V rest = before[R - 1] = values[R - 1];
#pragma GCC unroll 9
        for (int r = R - 2; r >= 0; --r) before[r] = rest = values[r] + rest;
        std::swap(before, between);
    }
    V beginning = V::all(0);
    for (int r = 0; start + r < width; ++r) {
        beginning = beginning + value(start + r);
        take(start + r - 2 * R, (before[r] + between[0]) + beginning);
    }
}

// Sums over K values from the j-th on, j < length, from and to memory: in the order of the window.
template <class T, int K> APART void sum_in_order(int length, const T* values, T* sums) {
    using V = Lanes<T>;
    constexpr int step = Pair<T>::count;
    for (int half = 0; half < step; half += V::count, values += V::count, sums += V::count) {
        Neighbours<V, K> neighbours;
        for (int j = 0; j < K - 1; ++j) neighbours.next(V::load(values + j * step));
        for (int j = 0; j < length; ++j)
            neighbours.next(V::load(values + (j + K - 1) * step)).store(sums + j * step);
    }
}

// The same for windows of k values, one power of two after the other; the values are lost.
template <class T> APART void sum_by_powers(int length, int k, T* values, T* sums) {
    using V = Pair<T>;
    const int width = length + k - 1;
    for (int j = 0; j < length; ++j) V::load(values + j * V::count).store(sums + j * V::count);
    for (int size = 2, taken = 1; size <= k; size *= 2) {
        for (int j = 0; j + size <= width; ++j)
            (V::load(values + j * V::count) + V::load(values + (j + size / 2) * V::count))
                .store(values + j * V::count);
        if (!(k & size)) continue;
        for (int j = 0; j < length; ++j)
            (V::load(sums + j * V::count) + V::load(values + (j + taken) * V::count))
                .store(sums + j * V::count);
        taken += size;
    }
}

template <class T> void sum_neighbours(int length, int k, T* values, T* sums) {
    switch (k) {
        case 5: return sum_in_order<T, 5>(length, values, sums);
        case 7: return sum_in_order<T, 7>(length, values, sums);
        case 9: return sum_in_order<T, 9>(length, values, sums);
        case 11: return sum_in_order<T, 11>(length, values, sums);
        case 13: return sum_in_order<T, 13>(length, values, sums);
        case 15: return sum_in_order<T, 15>(length, values, sums);
        case 17: return sum_in_order<T, 17>(length, values, sums);
        case 19: return sum_in_order<T, 19>(length, values, sums);
        default: return sum_by_powers(length, k, values, sums);
    }
}
