"""`scoremachines denoise`: machines held against images that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scoremachines.data.open import open_data
from scoremachines.experiments.held_out import denoise_in_folder
from scoremachines.experiments.measuring import DenoiseSettings

__all__ = ["denoise"]


def denoise(
    settings: DenoiseSettings, names: Sequence[str], output: str, *, resume: bool = False
) -> None:
    """Carry out `denoise_in_folder`, and print where the table is."""
    data, held_out = open_data(settings), None
    if settings.held_out is not None:
        held_out = open_data(replace(settings, source=settings.held_out, limit=None))
    found = denoise_in_folder(settings, data, held_out, names, output, resume=resume)
    print(f"table: {found}")
