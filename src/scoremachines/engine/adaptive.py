"""The adaptive engine: leaves out what cannot matter, and says how much that may cost.

At low noise a pixel's posterior rests on few of the training set's patches. Trees of patches
(`forest`) bound the weight of all others without looking at them. With Z the weight of the sources
evaluated and R a bound on that of the rest, the error of x̂0 is at most

    |x̂0 − x̂0'| ≤ (1 + |x̂0'|) R / (Z + R)                         (theory §2.6)

at every pixel: deterministic, for any training set. The engine goes down the trees until this is
within its tolerance. Where most sources matter, as at middling and high noise, that would take
longer than the exact engine. There it computes all distances, but draws the pairs that it adds up
(`thinning`, theory §2.7); the bound then holds with a stated probability. Where that is not worth
it either, as with few images, or with attention or lists of sources, it answers exactly.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from scoremachines.engine import native
from scoremachines.engine.forest import Forest, Forests, patch_counts
from scoremachines.engine.memory import plan_native
from scoremachines.engine.native import (
    NativeEngine,
    depth,
    doubtful,
    framed_query,
    stored_images,
)
from scoremachines.engine.protocol import Held, Plan, Query
from scoremachines.engine.thinning import thinnable, thinned, thinned_bytes
from scoremachines.errors import InputError, real
from scoremachines.posterior import Posterior, Sources

__all__ = ["AdaptiveEngine"]

LARGEST, WORTHY = 128, 48
"""Values of a patch, C k², beyond which bounds are never tight enough, or not worth a pilot."""
PILOT = 256
"""Images, at least, from which the cost of a question is estimated."""
WORTH = 0.02
"""Share of the pairs that may be left to evaluate if trees are to be worth their while."""
START, AIM, STEEP = 6.0, 0.5, 1.2
"""How far above its safe value the threshold of a pilot is, nats; the share of the tolerance that
the first round aims at; and how many nats the threshold falls for each that the bound should."""


class AdaptiveEngine:
    """Exact where it must be, and else within a certified tolerance, on the CPU.

    Where gradients in φ are wanted, the native engine answers in its place, exactly.

    Args:
        memory: bytes that the engine may use above the training set.
        tolerance: largest error of x̂0, in units of the images' [-1, 1]. Where pairs are drawn it
            is more with a probability of at most 10⁻⁵ for each noisy image.
        threads: how many threads; None for as many as torch uses.
        estimate: estimate first whether trees are worth their while, and draw or answer exactly
            if not; False to use them wherever they hold.

    Raises:
        InputError: the package was built without its native part, or an argument is out of range.
    """

    name = "adaptive"
    reads_bytes = True
    threaded = True

    def __init__(
        self,
        memory: int = 2**30,
        tolerance: float = 1e-2,
        threads: int | None = None,
        estimate: bool = True,
    ) -> None:
        if real("tolerance", tolerance, 0, 1) == 0:
            raise InputError("tolerance", tolerance, "a number above 0 and at most 1")
        self.threads = threads
        self.exact = self.differentiable = NativeEngine(memory, threads)
        self.memory, self.tolerance, self.estimate = memory, float(tolerance), estimate
        self.forests = Forests(native._native, memory // 2)
        self.pilots = Forests(native._native, memory // 8)

    def plan(
        self,
        query: Query,
        count: int,
        *,
        evidence: bool,
        pairwise: bool,
        best: int,
        held: Held | None = None,
    ) -> Plan:
        if evidence:  # no trees are grown, nothing is drawn: all memory is the exact engine's
            return self.exact.plan(
                query, count, evidence=True, pairwise=pairwise, best=best, held=held
            )
        wide = replace(query, noisy=query.noisy.double()) if doubtful(query).any() else query
        threads, quarter = self.exact.thread_count, self.memory // 4
        plan = plan_native(self.memory, threads, wide, count, False, pairwise, best, held, 4)
        thins = not best and thinnable(query)
        thins &= thinned_bytes(query, count, threads) <= self.memory // 8
        if not (thins or _bounded(query, LARGEST)):
            return plan
        copied = count * (0 if held is None else held.image)
        return Plan(plan.batch, count) if copied <= quarter // 2 else plan

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        return self.exact.evidence(query, images)

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        if bias is not None:
            return self._exactly(query, images, index, bias, best)
        kept = stored_images(images, query)
        trees = _bounded(query, WORTHY if self.estimate else LARGEST)
        if trees and self.forests.fits(kept, query.window or 1, query.sources):
            return self._adaptively(query, kept, index, best)
        return self._thinly(query, kept, index, best)

    def _exactly(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        """Return the exact answer, of which nothing is left out."""
        posterior = self.exact.posterior(query, images, index, bias, best)
        return replace(posterior, log_rest=torch.full_like(posterior.log_weight, -torch.inf))

    def _thinly(self, query: Query, images: Tensor, index: Tensor, best: int) -> Posterior:
        """Return the answer from pairs that are drawn, or the exact one if that is better."""
        if best or not thinnable(query):
            return self._exactly(query, images, index, None, best)
        parts = []
        for b in range(len(query.noisy)):
            part = query.part(slice(b, b + 1))
            found = thinned(self.exact, part, images, index, self.tolerance)
            parts.append(found or self._exactly(part, images, index, None, 0))
        return Posterior.cat(parts)

    def _adaptively(self, query: Query, images: Tensor, index: Tensor, best: int) -> Posterior:
        """Return the answer to noisy images, by the trees to those for which they are worth it."""
        step = max(1, len(images) // max(PILOT, len(images) // 128))
        some = images[::step].contiguous()
        if self.estimate and len(some) < PILOT:
            return self._thinly(query, images, index, best)
        known = self.exact.posterior(query, some, index[::step], None, 0).log_weight
        known = known + self._log_count(query)
        pilots = [
            self._pilot(query.part(slice(b, b + 1)), some, known[b : b + 1])
            for b in range(len(known))
        ]
        above = torch.cat([each for _, each in pilots])
        known = known + math.log(len(images) / len(some))
        worth = torch.tensor([not self.estimate or share <= WORTH for share, _ in pilots])
        parts, order = [], []
        for chosen in (worth, ~worth):
            if not chosen.any():
                continue
            asked = replace(query, noisy=query.noisy[chosen], alpha_bar=query.alpha_bar[chosen])
            order.append(chosen.nonzero()[:, 0])
            if chosen is worth:
                forest = self._forest(self.forests, query, images)
                start = known[chosen], above[chosen]
                parts.append(self._search(asked, images, index, best, forest, *start))
            else:
                parts.append(self._thinly(asked, images, index, best))
        return Posterior.cat(parts).at(torch.cat(order).argsort())

    def share(self, query: Query, some: Tensor, level: Tensor | None = None) -> float:
        """Return what share of all pairs bounds leave to evaluate, found with some images.

        Args:
            query: one noisy image, with sources `"inside"` or `"wrapped"`.
            some: a sample of the training images, `[n, C, H, W]`.
            level: of weights, on the scale of a posterior's `log_weight`, above which bounds are
                left, nats, `[1, H, W]`; None for what this engine's tolerance asks for.

        Returns:
            From 0 to 1.
        """
        kept, index = stored_images(some, query), torch.arange(len(some))
        if level is None:
            known = self.exact.posterior(query, kept, index, None, 0).log_weight
            return self._pilot(query, kept, known + self._log_count(query))[0]
        forest, level = self._forest(self.pilots, query, kept), level + self._log_count(query)
        _, evaluated = self._round(query, kept, index, 0, forest, level)
        return evaluated / level.numel() / patch_counts(kept, query.window or 1, query.sources)

    def _pilot(self, query: Query, some: Tensor, known: Tensor) -> tuple[float, Tensor]:
        """Ask some of the images first, whose log-weights are known.

        The answer is the share of their pairs that are left to evaluate, and how far above its
        safe value the threshold may start at every pixel for the bound to be met, nats.
        """
        forest = self._forest(self.pilots, query, some)
        level = self._safe(query, some, known) + START
        found, evaluated = self._round(query, some, torch.arange(len(some)), 0, forest, level)
        excess = (found.error_bound / (AIM * self.tolerance)).log()
        share = evaluated / known.numel() / patch_counts(some, query.window or 1, query.sources)
        return share, (START - STEEP * excess).clamp(0, START + 2)

    def _search(
        self,
        query: Query,
        images: Tensor,
        index: Tensor,
        best: int,
        forest: Forest,
        known: Tensor,
        above: Tensor,
    ) -> Posterior:
        """Go down the trees, in rounds, until every pixel's bound is within the tolerance."""
        found: Posterior | None = None
        open_pixels = torch.ones_like(known, dtype=torch.bool)
        for lower in (0.0, 1.5, 3.0, 8.0, math.inf):
            level = self._safe(query, images, known) + (above - lower)
            level = torch.where(open_pixels, level, torch.inf)
            posterior, _ = self._round(query, images, index, best, forest, level)
            found = posterior if found is None else _chosen(open_pixels, posterior, found)
            done = found.error_bound <= self.tolerance
            if found.sources is not None:  # what was left out weighs less than the last of them
                done &= (found.sources.log_weight[:, -1] + self._log_count(query) > level) | (
                    ~open_pixels
                )
            known = torch.where(open_pixels, found.log_weight + self._log_count(query), known)
            open_pixels &= ~done
            if not open_pixels.any():
                break
        assert found is not None
        return found

    def _safe(self, query: Query, images: Tensor, known: Tensor) -> Tensor:
        """Return the ℓ below which all sources may be left out, `[B, H, W]`."""
        count = patch_counts(images, query.window or 1, query.sources)
        return known + math.log(self.tolerance / 2.05 / count)

    def _round(
        self,
        query: Query,
        images: Tensor,
        index: Tensor,
        best: int,
        forest: Forest,
        level: Tensor,
    ) -> tuple[Posterior, int]:
        """Return the posterior of what may weigh more than a level, and the pairs it took."""
        log_count = self._log_count(query)
        parts, evaluated = [], 0
        for tree in forest.trees:
            some = slice(tree.first, tree.last)
            count, rest, log_weight, mean, entropy, *lists = native._native.search(
                images=images[some].numpy(),
                basis=forest.basis,
                window=query.window,
                wrapped=query.sources == "wrapped",
                threads=self.exact.running()["threads"],
                order=tree.order,
                boxes=tree.boxes,
                noisy=_framed(query),
                scale=(-(query.signal**2) / (2 * query.variance)).numpy(),
                threshold=level.numpy(),
                index=index[some].contiguous().numpy(),
                best=best,
                depth=depth(query, torch.tensor(log_count), len(images)),
            )
            evaluated += count
            sources = Sources(*map(torch.from_numpy, lists)) if best else None
            parts.append(
                Posterior(
                    torch.from_numpy(log_weight),
                    torch.from_numpy(mean),
                    torch.from_numpy(entropy) if best else None,
                    sources,
                    torch.from_numpy(rest),
                )
            )
        posterior = Posterior.merge_all(parts)
        return posterior.shifted(torch.full_like(posterior.log_weight, -log_count)), evaluated

    def _forest(self, forests: Forests, query: Query, images: Tensor) -> Forest:
        doubles = query.noisy.dtype == torch.float64
        threads = int(str(self.exact.running()["threads"]))
        return forests.of(images, query.window or 1, query.sources, doubles, threads)

    def _log_count(self, query: Query) -> float:
        """Return log |V(u)|, the same at every pixel."""
        return math.log(patch_counts(query.noisy[:1], query.window or 1, query.sources))


def _bounded(query: Query, largest: int) -> bool:
    """Tell whether trees can answer: small patches, the same for every pixel."""
    if query.window is None or query.sources not in ("inside", "wrapped"):
        return False
    return query.noisy.shape[1] * query.window**2 <= largest


def _framed(query: Query) -> np.ndarray:
    """Return φ/√ᾱ with a margin of half a window, `[B, C, H+k−1, W+k−1]`."""
    height, width = (size + (query.window or 1) - 1 for size in query.noisy.shape[-2:])
    return np.ascontiguousarray(framed_query(query)[:, :, :height, :width])


def _chosen(here: Tensor, first: Posterior, second: Posterior) -> Posterior:
    """Return the first posterior where `here` is true, else the second."""

    def pick(one: Tensor | None, other: Tensor | None) -> Tensor | None:
        if one is None or other is None:
            return None
        mask = here[:, None] if one.ndim == 4 else here
        return torch.where(mask, one, other)

    sources = None
    if first.sources is not None and second.sources is not None:
        sources = Sources(
            *(
                torch.where(
                    here[:, None], getattr(first.sources, name), getattr(second.sources, name)
                )
                for name in ("log_weight", "image", "position")
            )
        )
    mean = torch.where(here[:, None], first.mean, second.mean)
    log_weight = torch.where(here, first.log_weight, second.log_weight)
    return Posterior(
        log_weight,
        mean,
        pick(first.entropy, second.entropy),
        sources,
        pick(first.log_rest, second.log_rest),
    )
