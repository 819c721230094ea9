// Which pairs of a row are drawn (sampled.hpp), seen while their log-weights are in registers.
#pragma once

#include "pair.hpp"

// Looks at log-weights as they come, at no more than the cost of comparing them; this one at none.
struct NoSieve {
    template <class Weights> IN_PLACE void operator()(int, Weights) {}
    IN_PLACE void write(int) {}
    template <int G> NoSieve from(int) const { return {}; }
};

// Flags the places of a row where pairs of some lane are drawn, at G displacements side by side.
template <class T, int G> struct Flags {
    const T* thresholds;  // of the pixels at the places of the first displacement
    std::uint64_t* drawn[G];
    std::uint64_t bits[G];  // of 64 places

    IN_PLACE void operator()(int j, Beside<Pair<T>, G> raised) {
        flag(0, j, raised.one);
        if constexpr (G == 2) flag(1, j, raised.rest.one);
    }
    IN_PLACE void flag(int g, int j, Pair<T> raised) {
        const bool any = Lanes<T>::any_above(raised.largest_of_both(), Lanes<T>::all(thresholds[j + g]));
        bits[g] |= std::uint64_t(any) << (j % 64);
    }
    // Takes down what was found of the 64 places from j on, or of fewer.
    IN_PLACE void write(int j) {
        for (int g = 0; g < G; ++g) {
            drawn[g][j / 64] = bits[g];
            bits[g] = 0;
        }
    }
};

// The same for a row of all displacements of a group.
template <class T> struct Sieve {
    const T* thresholds[group_size];
    std::uint64_t* drawn[group_size];

    // What to flag the places of G displacements with, from the g-th on.
    template <int G> Flags<T, G> from(int g) const {
        Flags<T, G> flags{thresholds[g], {}, {}};
        for (int other = 0; other < G; ++other) flags.drawn[other] = drawn[g + other];
        return flags;
    }
};
