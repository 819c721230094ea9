"""Settings of the commands that measure machines and training sets without painting.

As in `run_settings`, each field is an option, and the text below it is its help.
"""

from __future__ import annotations

from dataclasses import dataclass

from scoremachines.data.settings import DataSettings
from scoremachines.errors import InputError, numbers
from scoremachines.theory.locality import check_window

__all__ = ["DenoiseSettings", "PhaseSettings"]


@dataclass(frozen=True)
class DenoiseSettings(DataSettings):
    """Everything that decides how machines are held against images that they have not seen."""

    held_out: str | None = None
    """source of the test images; by default some are taken out of the training set"""
    n: int = 200
    """number of test images"""
    validation: int = 50
    """number of other held-out images, by which windows and widths are chosen"""
    pool: int | None = None
    """training images, drawn by the seed; by default all that are not held out"""
    sigmas: str = "0.05,0.127,0.3,0.452,0.853,1.6,2.2"
    """standard deviations of the noise, of pixels in [0, 1]"""
    windows: str = "3,5,9,15"
    """windows k to choose among, pixels"""
    widths: str = "0,0.5,0.7,0.8,0.9,1"
    """widths of sources h to choose among"""
    pixels: int | None = None
    """pixels of each image that are answered, on a grid, in about that number; by default all"""
    seed: int = 0
    """seed of the noise, and of the images that are held out"""
    engine: str = "auto"
    """auto, native, torch or reference"""
    memory: str = "1GiB"
    """memory that the engine may use above the training set"""

    @property
    def levels(self) -> list[float]:
        """The noise levels σ."""
        return numbers("sigmas", self.sigmas, 1e-6, 1e6)

    @property
    def width_choices(self) -> list[float]:
        """The widths to choose among."""
        return numbers("widths", self.widths, 0, 1)

    def window_choices(self, shape: tuple[int, int]) -> list[int]:
        """Return the windows to choose among.

        Args:
            shape: height and width of the images, pixels.

        Returns:
            Windows k.

        Raises:
            InputError: one does not fit.
        """
        return _windows(self.windows, shape)


@dataclass(frozen=True)
class PhaseSettings(DataSettings):
    """Everything that decides where memorisation is looked for."""

    sources: str = "valid"
    """aligned, valid, circular or boundary"""
    windows: str | None = None
    """windows k, pixels; by default at most eight, from 1 to the image's side"""
    counts: str | None = None
    """numbers of training images; by default four, the last of them all"""
    classes: bool = False
    """look at each class by itself, too"""
    steps: int = 10
    """noise levels, at t = j/steps"""
    draws: int = 8
    """noised training images that each mean is taken over"""
    drawn: str | None = None
    """k(t) to draw into the map: a number, 0:3,0.5:7,1:11, or the file of a calibration"""
    schedule: str = "cosine"
    """noise schedule: cosine, or linear, the table of DDPM"""
    seed: int = 0
    """seed of the draws, and of smaller training sets"""
    engine: str = "auto"
    """auto, native, torch or reference"""
    memory: str = "1GiB"
    """memory that the engine may use above the training set"""

    def window_choices(self, shape: tuple[int, int]) -> list[int]:
        """Return the windows.

        Args:
            shape: height and width of the images, pixels.

        Returns:
            Windows k, rising.

        Raises:
            InputError: one does not fit.
        """
        if self.windows is not None:
            return sorted(_windows(self.windows, shape))
        largest = (min(shape) - 1) // 2
        return sorted({2 * round(largest * part / 7) + 1 for part in range(8)})

    def count_choices(self, most: int) -> list[int]:
        """Return the numbers of training images.

        Args:
            most: how many there are.

        Returns:
            Numbers from 2 to that, rising.

        Raises:
            InputError: one is out of range.
        """
        if self.counts is None:
            return sorted({max(2, round(most / 4**part)) for part in range(4)})
        found = numbers("counts", self.counts, 2, most)
        if any(count != int(count) for count in found):
            raise InputError("counts", self.counts, "whole numbers")
        return sorted(map(int, found))


def _windows(text: str, shape: tuple[int, int]) -> list[int]:
    """Read windows with commas between them.

    Args:
        text: what was given.
        shape: height and width of the images, pixels.

    Returns:
        Windows k.

    Raises:
        InputError: one is no odd number, or does not fit.
    """
    windows = numbers("windows", text, 1, 1e4)
    if any(window != int(window) for window in windows):
        raise InputError("windows", text, "odd whole numbers")
    return [check_window(int(window), shape) for window in windows]
