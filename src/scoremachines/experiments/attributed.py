"""Results of `scoremachines attribute` as numbers, tables, a figure and text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from scoremachines.data.images.placement import Placement
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import one_line
from scoremachines.io.plots import axes_side_by_side, figure_of, save_figure
from scoremachines.metrics.attribution import Explained
from scoremachines.metrics.memorisation import KindMatch, KindTest, MemorisationTest, WholeMatch
from scoremachines.metrics.words import share_words
from scoremachines.report.display import show_explained, show_image, show_nearest_map
from scoremachines.sampling.provenance import write_table
from scoremachines.theory.proportion import Proportion

__all__ = ["Attributed"]

WRONG = "wrongly called memorised"
SELF = "training images, each compared with all others"


@dataclass(frozen=True)
class Attributed:
    """One image's attribution.

    Args:
        source: file of the image.
        image: as the training images are, `[C, H, W]` in [-1, 1].
        data: the training set.
        sources: where a patch may come from.
        curve: what is explained at each window.
        test: the memorisation test.
        match: the training images that explain the image whole.
        held_out: source of the held-out images; None if training images stood in.
    """

    source: str
    image: Tensor
    data: TrainingSet
    sources: str
    curve: list[Explained]
    test: MemorisationTest
    match: WholeMatch
    held_out: str | None

    @property
    def kind(self) -> KindMatch:
        """The kind of copy that the verdict is about."""
        return self.match.kinds[int(self.test.kind_of(self.match)[0])]

    @property
    def memorised(self) -> bool:
        """The verdict."""
        return bool(self.test.flags(self.match)[0])

    def write(self, folder: Path, marker: str) -> None:
        """Write numbers, tables and figure.

        Args:
            folder: where to.
            marker: file name of the numbers.
        """
        about: dict[str, Any] = {
            **{"image": self.source, "data": self.data.name, "training_images": len(self.data)},
            **{"fingerprint": self.data.fingerprint(), "sources": self.sources},
            "windows": [self._row(each) for each in self.curve],
            "memorisation": self._verdict(),
        }
        write_table([about], folder / marker)
        write_table(self._pixel_rows(), folder / "attribution.parquet")
        self._draw(folder / "attribution.png")

    def text(self) -> str:
        """Return the curve, the verdict, and how far it can be trusted, as lines of text."""
        return "\n".join([*self._curve_lines(), self._sentence(), *self._kind_lines()])

    def _curve_lines(self) -> Iterator[str]:
        words = [share_words(each.share) for each in self.curve]
        wide = max(len("explained"), *map(len, words))
        yield f"{'window':>7}  {'explained':>{wide}}  most patches from"
        for each, explained in zip(self.curve, words, strict=True):
            image, share = each.largest
            window = "image" if each.window is None else each.window
            where = f"{self._name(image)} ({100 * share:.0f} % of the pixels)"
            if len(each.ways) > 1:
                where += f", {100 * each.turned:.0f} % {each.ways_words}"
            yield f"{window:>7}  {explained:>{wide}}  {where}"

    def _kind_lines(self) -> Iterator[str]:
        """Yield thresholds and rates of every kind of copy."""
        test = self.test
        yield f"{'copy':<25}  {'explains':>25}  threshold  {WRONG:<25}  noisy copies found"
        for found, each in zip(self.match.kinds, test.kinds, strict=True):
            yield (
                f"{each.kind:<25}  {share_words(float(found.share[0])):>25}  "
                f"{100 * each.threshold:>7.1f} %  {each.false_positives!s:<25}  {each.found}"
            )
        yield f"{'any of these':<64}  {test.false_positives}"
        yield (
            f"thresholds are from {test.calibrated_on} held-out images "
            f"({self.held_out or SELF}), for a level of {100 * test.level:.2g} % in all; "
            f"rates are of {test.false_positives.n} others"
        )
        if test.shortage:
            yield f"{test.shortage[0].upper()}{test.shortage[1:]}."
        blind = [each.kind for each in test.kinds if each.threshold > 0.999]
        if blind:
            yield (
                f"Held-out images are explained whole too ({', '.join(blind)}), "
                "so copies cannot be distinguished from them here."
            )

    def _sentence(self) -> str:
        share = float(self.kind.share[0])
        how = self._how(self.kind.placement[0])
        name = self._name(int(self.kind.image[0])) + (f" ({how})" if how else "")
        if share < 0:
            explained = "no training image explains the whole image better than a plain colour"
            return f"not memorised: {explained}"
        word = "MEMORISED" if self.memorised else "not memorised"
        return f"{word}: {name} alone explains {share_words(share)} of the whole image"

    def _name(self, image: int) -> str:
        return f"image {image}" if self.data.names is None else one_line(self.data.names[image])

    def _how(self, placement: Placement) -> str:
        return placement.describe(*self.data.shape[1:])

    def _row(self, each: Explained) -> dict[str, Any]:
        image, share = each.largest
        return {
            "window": each.window,
            "explained": round(each.share, 6),
            "words": share_words(each.share),
            "largest_image": image,
            "largest_name": self._name(image),
            "largest_share": round(share, 6),
            "turned_or_mirrored_share": round(each.turned, 6),
            "mean_distance": round(float(each.distance.mean()), 6),
        }

    def _verdict(self) -> dict[str, Any]:
        test, kind = self.test, self.kind
        kinds = zip(test.kinds, self.match.kinds, strict=True)
        return {
            "memorised": self.memorised,
            "kind": kind.kind,
            **self._match(kind),
            "threshold": {each.kind: each.threshold for each in test.kinds}[kind.kind],
            "level": test.level,
            "level_asked": test.target_level,
            "shortage": test.shortage or None,
            "calibrated_on": test.calibrated_on,
            "held_out": self.held_out or SELF,
            "false_positives": _proportion(test.false_positives),
            "noisy_copies_found": _proportion(test.found),
            "shift": test.shift,
            "kinds": [self._kind(each, found) for each, found in kinds],
        }

    def _match(self, found: KindMatch) -> dict[str, Any]:
        image, score = int(found.image[0]), float(found.share[0])
        placement = found.placement[0]
        return {
            "score": score if score > -float("inf") else None,
            "words": share_words(score),
            "image": image,
            "name": self._name(image),
            "move": list(placement.move),
            "placement": placement.about(*self.data.shape[1:]),
        }

    def _kind(self, test: KindTest, found: KindMatch) -> dict[str, Any]:
        return {
            "kind": test.kind,
            "placements": test.placements,
            **self._match(found),
            "threshold": test.threshold,
            "level": test.level,
            "false_positives": _proportion(test.false_positives),
            "noisy_copies_found": _proportion(test.found),
        }

    def _pixel_rows(self) -> list[dict[str, Any]]:
        """Return the nearest patch of every pixel at every window."""
        width = self.data.shape[2]
        rows = []
        for each in self.curve:
            ways = [self._how(way) or "as it is" for way in each.ways]
            columns = (each.image, each.position, each.way, each.distance)
            values = zip(*(column.flatten().tolist() for column in columns), strict=True)
            for place, (image, position, way, distance) in enumerate(values):
                rows.append(
                    {
                        "window": each.window,
                        "row": place // width,
                        "column": place % width,
                        "image": image,
                        "name": self._name(image),
                        "source_row": position // width,
                        "source_column": position % width,
                        "source_is": ways[way],
                        "distance": distance,
                    }
                )
        return rows

    def _draw(self, path: Path) -> None:
        pieces = [each for each in self.curve if each.window is not None][:5]
        placement, place = self.kind.placement[0], int(self.kind.image[0])
        nearest = self.data.block(slice(place, place + 1)).cpu()
        share, how = float(self.kind.share[0]), self._how(placement)
        name = self._name(place)[-24:]
        shown = [(nearest[0], f"{name}\nexplains {share_words(share)}")]
        if how:
            laid = placement.lay(nearest, _ground(self.image, placement))[0]
            shown = [(nearest[0], name), (laid, f"{how}:\nexplains {share_words(share)}")]
        row = axes_side_by_side(2 + len(shown) + len(pieces), 3.4, 3.4, columns=4)
        show_image(self.image, row[0], "the image")
        for axes, (picture, title) in zip(row[1:], shown, strict=False):
            show_image(picture, axes, title)
        for axes in row[: 1 + len(shown)]:  # a white ground ends somewhere
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="0.7")
        show_explained(self.curve, self.test, row[1 + len(shown)])
        for axes, each in zip(row[2 + len(shown) :], pieces, strict=True):
            show_nearest_map(each, axes)
        save_figure(figure_of(row[0]), path)


def _ground(image: Tensor, placement: Placement) -> Tensor:
    """Return the mean colour of what a placement leaves free, `[1, C, 1, 1]`."""
    rows, columns = placement.region(*image.shape[1:])
    outside = image.new_ones(image.shape[1:])
    outside[rows, columns] = 0
    return ((image * outside).sum((1, 2)) / outside.sum().clamp(min=1))[None, :, None, None]


def _proportion(proportion: Proportion) -> dict[str, Any]:
    low, high = proportion.interval()
    return {
        "successes": proportion.successes,
        "n": proportion.n,
        "rate": proportion.rate,
        "interval_95": [low, high],
    }
