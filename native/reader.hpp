// What makes the posterior of every pixel of one noisy image from the log-weights of all pairs.
#pragma once

#include "sweep.hpp"

template <class T, class Stored> class Reader {
  public:
    static constexpr int together = 2;  // displacements that are visited at once
    virtual ~Reader() = default;
    // Takes the pairs of the images that a sweep has laid out, as `sweep.visit(sample, biased, *this)`.
    virtual void take(Sweep<T, Stored>& sweep, int sample, bool biased) = 0;
    // The posterior of one pixel: log Σ 2^L, the means and, where the best sources are kept, the
    // entropy and these sources, which are weighed by L.
    virtual double read(int pixel, double* mean, double* entropy, const Source** sources) const = 0;
};
