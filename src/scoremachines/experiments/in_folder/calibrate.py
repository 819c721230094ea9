"""k(t) of a trained network, and the strength of its attention, beside its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scoremachines.calibration import (
    RULES,
    Calibration,
    JointCalibration,
    StrengthCalibration,
    calibrate,
    calibrate_jointly,
    calibrate_strength,
    predict_jointly,
    predict_windows,
)
from scoremachines.calibration.curves import known_sources
from scoremachines.calibration.figure import calibration_figure
from scoremachines.calibration.windows import odd_windows
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, numbers
from scoremachines.experiments.machines import CALIBRATION, STRENGTH, network_attention
from scoremachines.experiments.opening import log_facts, network_data, open_network
from scoremachines.experiments.run_settings import CalibrateSettings
from scoremachines.io.files import is_folder, reading
from scoremachines.io.plots import save_figure
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.runs.estimate import announce, run_seconds
from scoremachines.theory.specs import AttentionSpec

__all__ = ["FIGURE", "Calibrated", "calibrate_in_folder"]

FIGURE = "calibration.png"
JOINT = "{}-widths.json"
"""File of k(t) and h(t) together, calibrated or predicted."""


@dataclass(frozen=True)
class Calibrated:
    """What is known of a network once it is calibrated.

    Args:
        windows: k(t), as it was calibrated.
        predicted: k(t) from the training images alone, by each rule; none unless requested.
        strength: λ of the attention; None unless requested.
        folder: where all of it is.
        joint: k(t) and h(t) together, `"calibrated"` and perhaps `"predicted"`, if widths were
            given.
    """

    windows: Calibration
    predicted: dict[str, Calibration]
    strength: StrengthCalibration | None
    folder: Path
    joint: dict[str, JointCalibration] = field(default_factory=dict)


def calibrate_in_folder(
    run: str,
    settings: CalibrateSettings,
    *,
    predict: bool = False,
    strength: bool = False,
    output: str | None = None,
) -> Calibrated:
    """Calibrate a network, and write what was found beside its checkpoint.

    Args:
        run: the network: a folder, or a function, as `open_network` takes it.
        settings: of the calibration.
        predict: predict k(t) from the training set too.
        strength: calibrate the strength of the attention of the settings too.
        output: folder to write to; by default that of the network, or `calibration` if it has
            none.

    Returns:
        What was found.

    Raises:
        InputError: there is no network, nothing records what it was trained on, or a setting is
            out of range.
    """
    network, data = open_network(run), network_data(run, settings)
    folder = _folder(run, output)
    log_facts(network)
    _announce(network, data, settings)
    with tqdm(total=settings.steps, desc="calibrating", disable=None) as bar:
        found = calibrate(
            network,
            data,
            windows=_windows(settings.windows),
            sources=settings.sources,
            labels=settings.label,
            measure=settings.measure,
            search=settings.search,
            steps=settings.steps,
            seeds=settings.seeds,
            seed=settings.seed,
            on_step=lambda _: bar.update(),
        )
    found.save(folder / CALIBRATION)
    predicted = {}
    for rule in RULES if predict else ():
        predicted[rule] = predict_windows(
            data,
            sources=found.curves.about["sources"],
            windows=[int(window) for window in found.curves.candidates],
            rule=rule,
            share=settings.share,
            schedule=network.schedule,
            steps=settings.steps,
            seed=settings.seed,
        )
        predicted[rule].save(folder / f"predicted-{rule}.json")
    save_figure(calibration_figure({"calibrated": found, **predicted}), folder / FIGURE)
    loud = _strength(network, data, found, settings) if strength else None
    if loud:
        loud.save(folder / STRENGTH)
    joint = {} if settings.widths is None else _jointly(network, data, settings, predict)
    for name, both in joint.items():
        both.save(folder / JOINT.format(name))
    return Calibrated(found, predicted, loud, folder, joint)


def _jointly(
    network: DenoiserModel, data: TrainingSet, settings: CalibrateSettings, predict: bool
) -> dict[str, JointCalibration]:
    """Return k(t) and h(t) of the network, and from the training images alone."""
    options: dict[str, Any] = {
        "windows": _windows(settings.windows),
        "widths": numbers("widths", settings.widths or "", 0, 1),
        "contrasts": settings.contrasts,
        "steps": settings.steps,
        "seed": settings.seed,
    }
    with tqdm(total=settings.steps, desc="calibrating k and h", disable=None) as bar:
        found = calibrate_jointly(
            network,
            data,
            sources=settings.sources,
            labels=settings.label,
            seeds=settings.seeds,
            on_step=lambda _: bar.update(),
            **options,
        )
    if not predict:
        return {"calibrated": found}
    options |= {"windows": found.windows, "sources": found.about["sources"]}
    draws = min(16, len(data) // 2)
    alone = predict_jointly(data, schedule=network.schedule, draws=draws, **options)
    return {"calibrated": found, "predicted": alone}


def _folder(run: str, output: str | None) -> Path:
    """Return the folder to write to, which exists."""
    own = run if is_folder("run", run) else Path(CALIBRATION).stem
    folder = Path(output or own)
    with reading("output", folder, "a folder to write to"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _announce(network: DenoiserModel, data: TrainingSet, settings: CalibrateSettings) -> None:
    """Print about how long it takes: one machine for each window, at every step of every seed."""
    field = getattr(network, "receptive_field", None)
    windows = odd_windows(data, _windows(settings.windows), field)
    kind = known_sources(network, data, None)
    machines = [ScoreMachine(data, window, kind, schedule=network.schedule) for window in windows]
    seconds = run_seconds(machines, settings.seeds, settings.steps)
    if settings.search == "near":  # about three windows a step
        seconds *= min(1.0, 3 / len(windows))
    seconds += run_seconds([network], settings.seeds, settings.steps)
    what = f"{settings.seeds} seeds × {settings.steps} steps, {len(windows)} windows"
    announce(seconds, f"{what}, {len(data)} images")


def _strength(
    network: DenoiserModel, data: TrainingSet, window: Calibration, settings: CalibrateSettings
) -> StrengthCalibration:
    spec = AttentionSpec.parse(settings.attention)
    return calibrate_strength(
        network,
        data,
        lambda given: network_attention(replace(spec, gain=given), network),
        window=window,
        sources=settings.sources,
        labels=settings.label,
        steps=settings.steps,
        seeds=settings.seeds,
        seed=settings.seed,
    )


def _windows(text: str | None) -> list[int] | None:
    """Read `3,5,7`."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError("windows", text, "odd numbers of pixels, such as 3,5,7") from None
