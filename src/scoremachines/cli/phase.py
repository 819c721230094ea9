"""`scoremachines phase`: where a machine recites its training images."""

from __future__ import annotations

from scoremachines.data.open import open_data
from scoremachines.experiments.measuring import PhaseSettings
from scoremachines.experiments.phase import FIGURE, FILE, phase_in_folder

__all__ = ["phase"]


def phase(settings: PhaseSettings, output: str, *, resume: bool = False) -> None:
    """Carry out `phase_in_folder`, and print where table and map are."""
    folder = phase_in_folder(settings, open_data(settings), output, resume=resume)
    print(f"table: {folder / FILE}\nmap: {folder / FIGURE}")
