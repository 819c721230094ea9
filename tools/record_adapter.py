"""All that `record_results` calls by a name of the package; the keys are the recorder's own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import (
    ByGroup,
    GroupConsensus,
    Measured,
    MultiScale,
    PerplexityGain,
    Scaled,
    Soft,
    Tiled,
)
from scoremachines.cli.main import main
from scoremachines.engines import make_engine
from scoremachines.experiments.digits import digits_agreement
from scoremachines.experiments.networks import CNN, SOFT
from scoremachines.experiments.results import plain
from scoremachines.experiments.trainings import SHIPPED
from scoremachines.networks.training.folder import load_network
from scoremachines.theory.specs import GainSchedule, attention_names

__all__ = [
    "ATTENTIONS",
    "ENGINES",
    "KG",
    "SOURCES",
    "Refused",
    "build",
    "bundled_networks",
    "consistency",
    "demo",
    "denoised",
    "digits",
    "digits_rows",
    "judged",
    "kg_machine",
    "painted",
    "posterior",
    "shapes",
    "training_set",
    "wiener",
]

Refused = sm.InputError

KG: dict[str, Callable[..., Any]] = {
    "IS": sm.ideal,
    "ES": sm.equivariant,
    "LS": sm.local,
    "ELS": sm.els,
    "bbELS": sm.bbels,
}
SOURCES = {"same": "aligned", "inside": "valid", "wrapped": "circular", "broken": "boundary"}
ENGINES: dict[str, Callable[[int], Any]] = {
    "reference": lambda memory: make_engine("reference", memory),
    "native": lambda memory: make_engine("native", memory),
    "torch": lambda memory: make_engine("torch", memory),
    "auto": lambda memory: make_engine("auto", memory),
    "adaptive": lambda memory: make_engine("adaptive", memory),
    "adaptive-fine": lambda memory: make_engine("adaptive:tolerance=1e-9", memory),
}
"""Adaptive: drawing pairs where worth it; and with a tolerance that leaves next to nothing out."""
PLAIN = {
    "identity": "identity",
    "top1": "top1",
    "tiled": "tiled",
    "full": "full",
    "multiscale": "multiscale",
}
ENDINGS = {"": "", "-class": "-class", "-agreed": "-consensus"}
NAMED = {"none": "none"} | {
    key + told: name + ending for told, ending in ENDINGS.items() for key, name in PLAIN.items()
}
assert set(NAMED.values()) == set(attention_names()), "an attention is missing from the recorder"
GIVEN: dict[str, Callable[[Tensor], Any]] = {
    "matrix": Soft,
    "function": lambda matrix: Measured(lambda noisy, time: matrix * (1 - time.mean() / 2)),
    "matrix*1.3": lambda matrix: Scaled(Soft(matrix), 1.3),
    "tiled*strength(t)": lambda matrix: Scaled(Tiled(), GainSchedule((0.2, 0.8), (0.5, 2.0))),
    "matrix*spread": lambda matrix: PerplexityGain(Soft(matrix)),
    "matrix*spread-class": lambda matrix: ByGroup(PerplexityGain(Soft(matrix))),
    "matrix*spread-agreed": lambda matrix: GroupConsensus(PerplexityGain(Soft(matrix))),
    "multiscale(3,5)": lambda matrix: MultiScale((3, 5)),
    "multiscale(3,5)-class": lambda matrix: ByGroup(MultiScale((3, 5))),
    "multiscale(3,5)-agreed": lambda matrix: GroupConsensus(MultiScale((3, 5))),
}
ATTENTIONS = (*NAMED, *GIVEN)


def training_set(pixels: Tensor, labels: Tensor) -> Any:
    """Return a training set of these images and classes."""
    return sm.TrainingSet(pixels, labels, [f"class {i}" for i in range(int(labels.max()) + 1)])


def digits(count: int) -> Any:
    """Return the first handwritten digits."""
    return sm.digits().subset(range(count))


def shapes() -> Any:
    """Return the crafted set of the bundled networks."""
    return sm.shapes(size=12, n=500, feature_size=3)


def build(
    data: Any,
    engine: str,
    sources: str,
    window: Any,
    attention: str = "none",
    matrix: Tensor | None = None,
    memory: int = 2**30,
) -> Any:
    """Return a machine, given the recorder's keys; `matrix` is for attentions that want one."""
    if attention in GIVEN:
        assert matrix is not None
        listens: Any = GIVEN[attention](matrix)
    else:
        listens = NAMED[attention]
    made = ENGINES[engine](memory)
    return sm.ScoreMachine(data, window, SOURCES[sources], listens, engine=made)


def kg_machine(name: str, data: Any, engine: str, window: Any) -> Any:
    """Return one of KG's machines."""
    made = ENGINES[engine](2**30)
    return KG[name](data, engine=made) if window is None else KG[name](data, window, engine=made)


def wiener(data: Any) -> Any:
    """Return the Wiener filter."""
    return sm.Wiener(data)


def posterior(machine: Any, noisy: Tensor, levels: Any, labels: Any, best: int) -> dict[str, Any]:
    """Return all that a posterior holds, as tensors."""
    found = machine.posterior(noisy, levels, labels, best)
    told = {"mean": found.mean, "log_weight": found.log_weight, "bound": found.error_bound}
    if best:
        told |= {"entropy": found.entropy, "source_weight": found.sources.log_weight}
        told |= {"source_image": found.sources.image, "source_position": found.sources.position}
    return told


def denoised(denoiser: Any, noisy: Tensor, levels: Any, labels: Any = None) -> Tensor:
    """Return x̂0 of a machine, a network or the Wiener filter."""
    return denoiser.denoise(noisy, levels, labels)


def painted(denoiser: Any, n: int, steps: int, scheduler: str, data: Any = None) -> dict[str, Any]:
    """Return samples, with their sources where they have any."""
    result = sm.sample(denoiser, n, steps, seed=3, scheduler=scheduler, best=3, data=data)
    told: dict[str, Any] = {"images": result.images}
    if result.posterior is not None and result.posterior.sources is not None:
        told |= {"entropy": result.posterior.entropy}
        told |= {"source_image": result.posterior.sources.image}
    return told


def judged(data: Any, images: Tensor) -> list[int]:
    """Return how many images a crafted set's judge finds valid, consistent, novel, creative."""
    rates = data.judge(images).rates()
    names = ("valid", "consistent", "novel", "creative")
    return [rates[name].successes for name in names]


def bundled_networks() -> dict[str, Any]:
    """Return the networks that the package brings along."""
    folders = sorted(path for path in SHIPPED.iterdir() if path.is_dir())
    return {path.name: load_network(path) for path in folders}


def digits_rows(folder: Path) -> list[Any]:
    """Return r, r² and lead, with their intervals, of networks and machines on 24 seeds."""
    trained = {role: SHIPPED / f"digits-{role.folder}-0" for role in (CNN, SOFT)}
    rows = digits_agreement(trained, folder, n=24, steps=8, workers=1, device="cpu")
    return [plain(row) for row in rows]


def _run(words: list[str]) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0
    return out.getvalue()


def demo(folder: Path) -> tuple[str, list[Path]]:
    """Carry out the demonstration; return what it printed, and its pictures in order."""
    printed = _run(["demo", "-o", str(folder)])
    return printed, [folder / f"{name}.png" for name in ("shapes", "digits", "photographs")]


def consistency(folder: Path) -> dict[str, Any]:
    """Carry out the quick preset; return its findings, part by part."""
    words = ["consistency", "--preset", "quick", "--workers", "1", "-o", str(folder)]
    _run(words)
    found = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    parts = ("networks", "machines", "orders", "agreements", "real", "sweeps")
    return {part: found[part] for part in parts}


torch.set_num_threads(1)
