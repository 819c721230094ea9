"""A calibrated test for copies of training images (theory §6.4).

How large S is for images that are no copies depends on the training set and on how many ways to
copy an image are searched, so every kind of copy has a threshold of its own, found on held-out
images. An image is called memorised if it exceeds the threshold of some kind. The thresholds of
all kinds have the same rank among the held-out images, chosen so that all together err with
probability α at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, real, whole
from scoremachines.metrics.copies import Copy, Kind
from scoremachines.metrics.matching import KindMatch, WholeMatch, placement_families, whole_match
from scoremachines.metrics.noisy import noisy_copies
from scoremachines.metrics.thresholds import LOWEST, common_rank, held_out_needed, held_out_used
from scoremachines.theory.proportion import Proportion

__all__ = [
    "KindMatch",
    "KindTest",
    "MemorisationTest",
    "WholeMatch",
    "calibrate_memorisation",
    "check_test",
    "whole_match",
]


@dataclass(frozen=True)
class KindTest:
    """The threshold for one kind of copy, and its error rates.

    An image is called memorised if `S_k(x) = max_{i, g∈k} S_{i,g}(x) > threshold` (theory §6.4).

    Args:
        kind: name of the kind.
        threshold: an image with a larger S is called memorised.
        level: rate of false positives that the threshold was chosen for.
        false_positives: of held-out images that had no part in the choice, those above it.
        found: of noisy copies of the kind, those above it and traced to the right image.
        placements: how many placements are searched.
    """

    kind: str
    threshold: float
    level: float
    false_positives: Proportion
    found: Proportion
    placements: int


@dataclass(frozen=True)
class MemorisationTest:
    """Thresholds for S, one for each kind of copy, and their error rates together.

    The threshold of each kind is the c-th smallest S_k of the held-out images, with one rank
    `c = min {c : #{j : T_j ≥ c} + [K > 1] ≤ α(m+1)}` for all (theory §6.4).

    Args:
        kinds: the test of each kind.
        target_level: α, the rate of false positives to allow.
        level: rate of false positives that the thresholds keep, all together: α, or the
            lowest that so many held-out images allow.
        calibrated_on: how many held-out images chose the thresholds.
        false_positives: of other held-out images, those called memorised as any kind of copy.
        shift: the largest move, pixels.
    """

    kinds: tuple[KindTest, ...]
    target_level: float
    level: float
    calibrated_on: int
    false_positives: Proportion
    shift: int

    @property
    def threshold(self) -> float:
        """Threshold of the first kind."""
        return self.kinds[0].threshold

    @property
    def found(self) -> Proportion:
        """Noisy copies of the first kind that were found."""
        return self.kinds[0].found

    @property
    def needed(self) -> int:
        """How many held-out images the level wanted takes."""
        return held_out_needed(self.target_level, len(self.kinds))

    @property
    def shortage(self) -> str:
        """That the level wanted cannot be had, in one sentence; empty where it can."""
        if self.level <= self.target_level:
            return ""
        used = self.calibrated_on + self.false_positives.n
        return (
            f"the level {100 * self.target_level:g} % cannot be had from {used} held-out images: "
            f"{100 * self.level:.2g} % is the lowest; {self.needed} images would do"
        )

    def flags(self, match: WholeMatch) -> Tensor:
        """Return which images are called memorised, bool `[n]`.

        Args:
            match: of the same kinds.

        Returns:
            True where the threshold of any kind is exceeded.
        """
        return self._above(match).any(0)

    def kind_of(self, match: WholeMatch) -> Tensor:
        """Return the kind of copy that explains each image best.

        Args:
            match: of the same kinds.

        Returns:
            Number of the kind, int64 `[n]`: of those whose threshold is exceeded, if there are
            any, the one that explains most.
        """
        shares = torch.stack([each.share for each in match.kinds])
        above = self._above(match)
        kept = torch.where(above | ~above.any(0), shares, -torch.inf)
        return kept.argmax(0)

    def _above(self, match: WholeMatch) -> Tensor:
        names = [each.kind for each in match.kinds]
        if names != [each.kind for each in self.kinds]:
            accepted = f"a match of the kinds {', '.join(each.kind for each in self.kinds)}"
            raise InputError("match", names, accepted)
        pairs = zip(match.kinds, self.kinds, strict=True)
        return torch.stack([found.share > test.threshold for found, test in pairs])


def check_test(
    data: TrainingSet, level: float, shift: int = 0, kinds: Sequence[Kind] = (Copy(),)
) -> list[int]:
    """Refuse a test that cannot be made, before anything is computed.

    Args:
        data: the training set.
        level: α.
        shift: the largest move, pixels.
        kinds: kinds of copies.

    Returns:
        How many placements each kind searches.

    Raises:
        InputError: a level out of range, or kinds or a shift that cannot be used.
    """
    real("level", level, LOWEST, 1 - LOWEST)
    return [len(family) for family in placement_families(kinds, shift, *data.shape[1:])]


def calibrate_memorisation(
    data: TrainingSet,
    held_out: Tensor | None = None,
    *,
    level: float = 0.01,
    shift: int = 0,
    most: int | None = None,
    kinds: Sequence[Kind] = (Copy(),),
) -> MemorisationTest:
    """Choose the thresholds on held-out images, and try them on others.

    With one kind and S of m held-out images in rising order, the threshold is the
    c-th, `c = ⌈(1−α)(m+1)⌉`, or 0 if that is negative: a further image of this origin exceeds it
    with probability at most α **[known: Vovk et al. 2005]**. With several kinds, all thresholds
    have the same rank (theory §6.4). Where m is too small for α, they are the largest, and the
    level is theirs.

    Args:
        data: the training set.
        held_out: images that are not in it, in random order, `[n, C, H, W]`; None to take training
            images, each compared with all others.
        level: α, the rate of false positives to allow to all kinds together, between 0 and 1.
        shift: the largest move, pixels.
        most: how many held-out images to use; every second one chooses, the others try. By default
            600, and up to 4,000 where the level takes more.
        kinds: kinds of copies to look for.

    Returns:
        The test.

    Raises:
        InputError: a level out of range, fewer than four held-out images, or kinds or a shift that
            cannot be used.
    """
    counts = check_test(data, level, shift, kinds)
    most = held_out_used(level, len(kinds)) if most is None else whole("most", most, 4)
    own = None
    if held_out is None:
        own = _spread(len(data), most)
        images = data.block(own).cpu()
    else:
        if held_out.ndim != 4:
            raise InputError("held_out", held_out, "images [n, C, H, W]")
        images = held_out[:most]
    if len(images) < 4 or len(data) < 2:
        raise InputError("held_out", f"{len(images)} images", "at least 4 images")
    match = whole_match(images, data, shift, own, kinds)
    chosen = torch.arange(0, len(images), 2)
    tried = torch.arange(1, len(images), 2)
    rank, kept = common_rank(torch.stack([each.share[chosen] for each in match.kinds]), level)
    tests, above = [], []
    for kind, found, count in zip(kinds, match.kinds, counts, strict=True):
        # What a plain colour explains better is no copy, whatever the held-out images are like.
        threshold = max(0.0, float(found.share[chosen].sort().values[rank - 1]))
        above.append(found.share[tried] > threshold)
        tests.append(
            KindTest(
                kind=kind.name,
                threshold=threshold,
                level=1 - rank / (len(chosen) + 1),
                false_positives=Proportion(int(above[-1].sum()), len(tried)),
                found=_rate_found(data, kind, threshold, shift, len(tried)),
                placements=count,
            )
        )
    wrong = torch.stack(above).any(0)
    return MemorisationTest(
        kinds=tuple(tests),
        target_level=float(level),
        level=max(float(level), kept),
        calibrated_on=len(chosen),
        false_positives=Proportion(int(wrong.sum()), len(tried)),
        shift=shift,
    )


def _rate_found(
    data: TrainingSet, kind: Kind, threshold: float, shift: int, most: int
) -> Proportion:
    index = _spread(len(data), most)
    copies, _ = noisy_copies(data, index, kind, shift=shift)
    (found,) = whole_match(copies, data, shift, kinds=[kind]).kinds
    right = (found.share > threshold) & (found.image == index)
    return Proportion(int(right.sum()), len(index))


def _spread(count: int, most: int) -> Tensor:
    """Return places spread evenly over a training set, int64."""
    return torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).round().long()
