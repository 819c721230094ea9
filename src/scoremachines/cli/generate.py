"""`scoremachines generate`: one machine, one training set, one folder."""

from __future__ import annotations

import shlex

from scoremachines.experiments.in_folder.generate import generate_in_folder
from scoremachines.experiments.run_settings import GenerateSettings
from scoremachines.sampling.saving import GRID

__all__ = ["generate"]


def generate(settings: GenerateSettings, output: str, *, resume: bool = False) -> None:
    """Carry out `generate_in_folder`, and print what is in the folder."""
    shown, page = generate_in_folder(settings, output, resume=resume)
    part = f" (the first {GRID})" if settings.n > GRID else ""
    files = f"samples/, grid.png{part}, provenance.*, contributions.*"
    print(f"{settings.n} samples in {output}: {files}")
    if settings.engine == "adaptive":
        bound = f"at most {shown.result.bound:.2g} off" if shown.result.bound else "exact"
        print(f"x̂0 was {bound} in every step, sample and pixel")
    if shown.verdicts is not None:
        rates = shown.verdicts.rates()
        chance = shown.verdicts.chance()
        print(f"consistent: {rates['consistent']}, of valid ones by chance {100 * chance:.1f} %")
    print(f"page: {page}")
    print(f"look closer: {shlex.join(['scoremachines', 'explore', output])}")
