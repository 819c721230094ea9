"""The torch engine: exact, any device, bounded memory.

For one displacement `d = v − u`, the patch distances of all pixels are a box filter of the image
of squared differences `Σ_c (φ_c(u)/√ᾱ − x_c(u+d))²`, so a pair costs a few additions instead of
`C·k²` products. The images of a block lie along the innermost axis, where all arithmetic is plain
vector arithmetic. Differences are squared directly: the expanded form `φ² − 2φx + x²` is no
cheaper here and loses its digits as ᾱ → 1.

One noisy image is treated at a time, so its result has the same bits whatever else is in the
batch. Layout inside this module: `[row, column, move, n]`, where the moves of a tile are
successive displacements along a row, and n are the images of the block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.engines.base import Held, Plan, Pull, Query
from scoremachines.engines.full_image import Whole, whole_evidence, whole_posterior
from scoremachines.engines.memory import plan_within
from scoremachines.engines.tiled.gradient import from_sums, tiled_gradient
from scoremachines.engines.tiled.moments import NEVER, tiled_moments
from scoremachines.engines.tiled.smoothing import Smoothing
from scoremachines.engines.tiled.tiles import Clean, TilePair
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.runs import Run

__all__ = ["TorchEngine"]


class TorchEngine:
    """Tiles of a few displacements d, many images at a time (theory §2).

    `‖φ[Ω_u] − √ᾱ x[Ω_{u+d}]‖² = ᾱ Σ_o ‖φ(u+o)/√ᾱ − x(u+d+o)‖²` is a box filter for each d.

    Args:
        memory: bytes that the engine may use above the training set.
    """

    name = "torch"
    reads_once = True
    smooths = True

    def __init__(self, memory: int = 2**30) -> None:
        self.memory = memory

    def plan(
        self,
        query: Query,
        count: int,
        *,
        evidence: bool,
        dense: bool,
        best: int,
        held: Held | None = None,
    ) -> Plan:
        if query.smooth is None:
            return plan_within(self.memory, query, count, evidence, dense, best, held)
        return Smoothing(self.memory).plan(query, count, evidence, dense, best, held)

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        if query.smooth is not None:
            return Smoothing(self.memory).evidence(query, images)
        if query.window is None:
            return whole_evidence(query, images)
        clean = Clean(query, images)
        pairs = [TilePair(query, sample, clean) for sample in range(len(query.noisy))]
        return torch.stack([tiled_moments(pair, means=False)[0] for pair in pairs])

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        if query.smooth is not None:
            return Smoothing(self.memory).posterior(query, images, index, bias, best)
        if query.window is None:
            return whole_posterior(query, images, index, bias, best)
        clean = Clean(query, images)
        pairs = [TilePair(query, sample, clean) for sample in range(len(query.noisy))]
        biases = [None] * len(pairs) if bias is None else bias.unbind()
        return Posterior.cat(
            [
                Running(pair, index, best).read(its_bias)
                for pair, its_bias in zip(pairs, biases, strict=True)
            ]
        )

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        if query.smooth is not None:
            return Smoothing(self.memory).moments(query, images)
        if query.window is None:
            return Whole(query, images).moments()
        clean = Clean(query, images)
        samples = range(len(query.noisy))
        found = [tiled_moments(TilePair(query, sample, clean)) for sample in samples]
        evidence, mean = zip(*found, strict=True)
        return torch.stack(evidence).double(), torch.stack(mean)

    def gradient(self, query: Query, images: Tensor, pull: Pull) -> Tensor:
        if query.window is None:
            return Whole(query, images).gradient(pull)
        clean = Clean(query, images)
        sums = [
            tiled_gradient(TilePair(query, sample, clean), pull.part(slice(sample, sample + 1)))
            for sample in range(len(query.noisy))
        ]
        return from_sums(query, torch.cat(sums))


def _query(run: Run) -> slice:
    return slice(run.query, run.query + run.length)


class Running:
    """The posterior of the displacements seen so far (theory §2.1).

    Fields are `[row, column, …]` over query positions, in which a pixel may stand more than once.
    """

    def __init__(self, pair: TilePair, index: Tensor, best: int) -> None:
        self.pair, self.index, self.best = pair, index, best
        self.log_weight = pair.full(NEVER)
        self.mean = pair.full(0.0, pair.channels)
        self.entropy = pair.full(0.0)
        none = pair.full(-1, best).long()
        self.sources = Sources(pair.full(-torch.inf, best), none, none.clone())

    def read(self, bias: Tensor | None) -> Posterior:
        """Visit all displacements, with Π_u(i) `[n, H, W]`, and return the posterior `[1, …]`."""
        spread = None if bias is None else self.pair.spread(bias)
        for row in self.pair.row_runs():
            # Sources are kept pixel by pixel, so there may be one displacement at a time only.
            groups = self.pair.column_groups(1 if self.best else None)
            panel = Panel(self, row.length, sum(map(len, groups)))
            for columns in groups:
                tile = self.pair.log_likelihood(row, columns)
                if spread is not None:
                    tile += self.pair.moved(spread[_query(row)], columns)
                largest = tile.amax(-1)
                if self.best:
                    self._keep_best(row, columns[0], tile[:, :, 0], largest[:, :, 0])
                panel.add(row, columns, tile, largest)
            self._merge(_query(row), *panel.reduced())
        return self._posterior()

    def _merge(self, rows: slice, log_weight: Tensor, mean: Tensor, entropy: Tensor) -> None:
        total = torch.logaddexp(self.log_weight[rows], log_weight)
        share = (log_weight - total).exp()
        chosen = torch.special.entr(share) + torch.special.entr(1 - share)
        self.entropy[rows] = self.entropy[rows].lerp(entropy, share) + chosen
        self.mean[rows] = self.mean[rows].lerp(mean, share[..., None])
        self.log_weight[rows] = total

    def _keep_best(self, row: Run, column: Run, tile: Tensor, largest: Tensor) -> None:
        """Put the sources of one displacement into the lists of the pixels where they belong."""
        known = self.sources.map(lambda field: field[_query(row), _query(column)])
        at = (largest >= known.log_weight[..., -1]).nonzero(as_tuple=True)
        if len(at[0]) == 0:
            return
        weight = tile[at]
        found, places = [], []
        for _ in range(min(self.best, weight.shape[-1])):
            value, place = weight.max(-1, keepdim=True)  # of equals, the first
            found.append(value)
            places.append(place)
            weight.scatter_(-1, place, -torch.inf)
        image = self.index[torch.cat(places, -1)]
        position = (at[0] + row.source) * self.pair.width + at[1] + column.source
        new = Sources(torch.cat(found, -1), image, position[:, None].expand_as(image))
        best = known.map(lambda field: field[at]).merge(new, dim=-1).best(self.best, dim=-1)
        known.log_weight[at] = best.log_weight
        known.image[at] = best.image
        known.position[at] = best.position

    def _posterior(self) -> Posterior:
        """Return the posterior, with the copies of each pixel merged."""
        copies = self.pair.fold(self.log_weight)
        return Posterior.merge_all(
            self._copy(i, j) for i in range(copies.shape[0]) for j in range(copies.shape[2])
        )

    def _copy(self, i: int, j: int) -> Posterior:
        """Return one copy of every pixel, laid out as a posterior: pixels last."""

        def lay(field: Tensor) -> Tensor:
            return self.pair.fold(field)[i, :, j].movedim((0, 1), (-2, -1))[None]

        entropy = sources = None
        if self.best:
            entropy, sources = lay(self.entropy).double(), self.sources.map(lay)
            sources = Sources(sources.log_weight.double(), sources.image, sources.position)
        posterior = Posterior(lay(self.log_weight).double(), lay(self.mean), entropy, sources)
        return posterior.shifted(-self.pair.log_counts().double()[None])


class Panel:
    """The posteriors of all displacements along one row, side by side, before they are merged."""

    def __init__(self, running: Running, rows: int, moves: int) -> None:
        pair = running.pair
        self.pair, self.wants_entropy, self.next = pair, running.best > 0, 0
        like, columns = running.mean, running.mean.shape[1]
        self.log_weight = like.new_full((moves, rows, columns), NEVER)
        self.entropy = like.new_zeros(moves, rows, columns)
        self.mean = like.new_zeros(pair.channels, moves, rows, columns)

    def add(self, row: Run, columns: list[Run], tile: Tensor, largest: Tensor) -> None:
        """Enter a tile: log-likelihoods `[row, column, move, n]`; overwrites them."""
        weight = torch.softmax(tile, -1, out=self.pair.clean.spare(tile.shape))
        # The largest weight is exp(0) over the sum, which gives the sum without another pass.
        self._enter(self.log_weight, columns, largest - weight.amax(-1).log())
        if self.wants_entropy:
            self._enter(self.entropy, columns, torch.special.entr(weight).sum(-1))
        for channel, values in zip(self.mean, self.pair.values(row, columns[0]), strict=True):
            self._enter(channel, columns, torch.mul(weight, values, out=tile).sum(-1))
        self.next += len(columns)

    def _enter(self, field: Tensor, columns: list[Run], values: Tensor) -> None:
        """Write `[row, column, move]` where each move's pixels stand: one further to the right."""
        rows, width = field.shape[1:]
        stride = (width, 1, rows * width + 1)
        start = field.storage_offset() + self.next * rows * width + columns[0].query
        field.as_strided(values.shape, stride, start).copy_(values)

    def reduced(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-weight and entropy `[row, column]` and mean `[row, column, C]` of all."""
        share = self.log_weight.softmax(0)
        mean = torch.stack([(share * channel).sum(0) for channel in self.mean], -1)
        entropy = (share * self.entropy).sum(0) + torch.special.entr(share).sum(0)
        return self.log_weight.logsumexp(0), mean, entropy
