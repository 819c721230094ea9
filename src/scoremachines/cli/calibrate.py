"""`scoremachines calibrate`: k(t) of a trained network, beside its checkpoint."""

from __future__ import annotations

from scoremachines.experiments.in_folder.calibrate import FIGURE, calibrate_in_folder
from scoremachines.experiments.machines import CALIBRATION
from scoremachines.experiments.run_settings import CalibrateSettings
from scoremachines.theory.specs import AttentionSpec, MachineSpec

__all__ = ["calibrate"]


def calibrate(
    run: str, settings: CalibrateSettings, *, predict: bool, strength: bool, output: str | None
) -> None:
    """Carry out `calibrate_in_folder`, and print k(t) as a table and as a schedule."""
    found = calibrate_in_folder(run, settings, predict=predict, strength=strength, output=output)
    shown = {"calibrated": found.windows, **found.predicted}
    print("    t", *(f"{name:>12}" for name in shown))
    for row, time in enumerate(found.windows.times):
        print(f"{time:5.2f}", *(f"{each.windows[row]:12d}" for each in shown.values()))
    if found.strength:
        by_time = f"{found.strength.constant:g}, or by time {found.strength}"
        print(f"strength of {AttentionSpec.parse(settings.attention)}: {by_time}")
    print(f"k(t): {found.windows}")
    for name, both in found.joint.items():
        machine = MachineSpec(smooth=both.smooth)
        print(f"{name} with widths: --window {both.window} --machine {machine}")
    print(f"written: {found.folder / CALIBRATION}, {found.folder / FIGURE}")
