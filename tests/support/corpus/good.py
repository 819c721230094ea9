"""Arguments that are right, by their names, and the objects whose methods are tried."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image

import scoremachines as sm
from scoremachines.attention import Scaled, Tiled
from scoremachines.calibration import Curves, JointCalibration
from scoremachines.calibration.strength import StrengthCalibration
from scoremachines.calibration.windows import Calibration
from scoremachines.data.reduction import Pass
from scoremachines.data.settings import DataSettings
from scoremachines.engines import make_engine
from scoremachines.io.plots import axes_side_by_side
from scoremachines.machine.closed_forms import PCALocality
from scoremachines.machine.covariance import Total
from scoremachines.machine.golden import GoldenSubset
from scoremachines.metrics.attribution import attribute
from scoremachines.metrics.memorisation import MemorisationTest, WholeMatch
from scoremachines.networks.adapted import AdaptedNetwork
from scoremachines.networks.training import TrainSettings
from scoremachines.report import MachineView, Page, Section
from scoremachines.sampling.reverse_process import make_scheduler
from scoremachines.theory.schedule import CosineSchedule, TableSchedule
from scoremachines.theory.specs import AttentionSpec, GainSchedule

__all__ = ["GOOD", "OWNERS", "USUAL"]

SHAPE = (1, 6, 8)


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9


@cache
def data() -> sm.TrainingSet:
    pixels = (draw(5, *SHAPE) * 127 + 128).byte()
    labels, names = torch.tensor([0, 1, 0, 1, 1]), list("vwxyz")
    return sm.TrainingSet(pixels, labels, ("a", "b"), names=names)


@cache
def crafted() -> sm.TrainingSet:
    return sm.shapes(size=12, feature_size=3, n=4, features=2)


@cache
def result() -> sm.Result:
    return sm.sample(sm.els(data(), 3), n=2, steps=2, best=2)


def joint() -> JointCalibration:
    values = {"noise": torch.zeros(2, 2, 2, 3).double()}
    return JointCalibration((0.5, 1.0), (1, 3), (0.0, 0.5), values, "noise")


def network() -> sm.Network:
    return sm.Network(SHAPE[1:], 1, width=4, receptive_field=3, pointwise=0, classes=2)


def posterior() -> sm.Posterior:
    found = result().posterior
    assert found is not None
    return found


def curves(*candidates: float) -> Curves:
    return Curves(candidates, {"noise": draw(2, len(candidates), 3).double()}, "noise")


def page(folder: Path | None = None) -> Page:
    return Page("page", "lead", [Section("section", "text", [MachineView("m", "c", result())])])


GOOD: dict[str, Callable[[], Any]] = {
    "data": data,
    "training_set": crafted,
    "machine": lambda: sm.els(data(), 3),
    "network": network,
    "module": lambda: torch.nn.Conv2d(1, 1, 1),
    "machines": lambda: {"els": sm.els(data(), 3)},
    "noisy": lambda: draw(2, *SHAPE),
    "noise": lambda: draw(2, *SHAPE),
    "clean": lambda: draw(2, *SHAPE),
    "output": lambda: draw(2, *SHAPE),
    "sample": lambda: draw(2, *SHAPE),
    "images": lambda: draw(2, *SHAPE),
    "image": lambda: draw(*SHAPE),
    "pixels": lambda: (draw(5, *SHAPE) * 127 + 128).byte(),
    "stored": lambda: draw(2, *SHAPE),
    "array": lambda: (draw(5, 6, 8) * 127 + 128).byte().numpy(),
    "dataset": lambda: [(draw(3, 6, 8).numpy(), 1)] * 2,
    "held_out": lambda: draw(6, *SHAPE),
    "first": lambda: draw(3, *SHAPE),
    "second": lambda: draw(3, *SHAPE).flip(0),
    "prediction": lambda: draw(3, *SHAPE),
    "truth": lambda: draw(3, *SHAPE).flip(0),
    "values": lambda: [0.1, 0.2, 0.4],
    "alpha_bar": lambda: 0.5,
    "timestep": lambda: 500,
    "time": lambda: 0.5,
    "t": lambda: 0.5,
    "step": lambda: 5,
    "labels": lambda: None,
    "class_labels": lambda: None,
    "indices": lambda: range(2),
    "index": lambda: torch.tensor([0, 2]),
    "shape": lambda: SHAPE,
    "size": lambda: (6, 8),
    "sample_size": lambda: SHAPE[1:],
    "schedule": CosineSchedule,
    "scheduler": TableSchedule.linear().alpha_bar(torch.arange(1, 11) / 10).tolist,
    "alphas_cumprod": lambda: [0.9, 0.5, 0.1],
    "attention": lambda: "none",
    "matrix": lambda: draw(48, 48).abs(),
    "maps": lambda: lambda noisy, time: draw(48, 48),
    "strength": lambda: 0.5,
    "strengths": lambda: (0.0, 1.0),
    "times": lambda: (0.5, 1.0),
    "gains": lambda: (0.0, 1.0),
    "windows": lambda: (1, 3),
    "widths": lambda: (0.0, 0.5),
    "window": lambda: 3,
    "knots": lambda: {0.0: 1, 1.0: 3},
    "curves": lambda: curves(1, 3),
    "calibrations": lambda: {"a": Calibration((0.5, 1.0), (1, 3), curves(1, 3))},
    "measure": lambda: "noise",
    "result": result,
    "posterior": posterior,
    "other": posterior,
    "parts": lambda: [posterior(), posterior()],
    "offset": lambda: torch.zeros(2, 6, 8, dtype=torch.float64),
    "like": lambda: draw(2, *SHAPE),
    "dtype": lambda: torch.float32,
    "curve": lambda: attribute(draw(*SHAPE), data(), [3]),
    "explained": lambda: attribute(draw(*SHAPE), data(), [3])[0],
    "axes": lambda: axes_side_by_side(1)[0],
    "count": lambda: 5,
    "config": lambda: sm.ShapesConfig(size=12, feature_size=3, n=4, features=2),
    "settings": lambda: TrainSettings(network=SMALL, steps=1, batch=2, warmup=0),
    "page": page,
    "path": lambda: Path("file.json"),
    "folder": lambda: Path("folder"),
    "save_directory": lambda: "folder",
    "source": lambda: "digits",
    "match": lambda: WholeMatch(*(draw(2), torch.zeros(2).long(), torch.zeros(2, 2).long())),
    "rows": lambda: {"a": draw(2, *SHAPE)},
    "positions": lambda: posterior().sources.position[0],  # type: ignore[union-attr]
    "source_images": lambda: posterior().sources.image[0, 0],  # type: ignore[union-attr]
    "weights": lambda: posterior().weights[0],
    "better": lambda: [sm.Proportion(3, 5)],
    "worse": lambda: [sm.Proportion(1, 5)],
    "kind": lambda: "epsilon",
    "which": lambda: "a",
    "label": lambda: 1,
    "row": lambda: 1,
    "column": lambda: 2,
    "name": lambda: "els",
    "points": lambda: {"a": ([0, 1], [1, 0])},
    "panels": lambda: {"a": ([0, 1], [1, 0])},
    "draws": lambda: 3,
    "steps": lambda: 2,
    "seeds": lambda: 2,
    "n": lambda: 2,
    "batch": lambda: 2,
    "seed": lambda: 0,
}
SMALL = sm.NetworkSettings(width=4, receptive_field=3, pointwise=0)
"""Right arguments by their names; an argument that is not listed keeps its default."""

OWNERS: dict[str, Callable[[], Any]] = {
    "ScoreMachine": lambda: sm.els(data(), 3),
    "DenoiserModel": lambda: sm.els(data(), 3),
    "Wiener": lambda: sm.Wiener(data()),
    "Network": network,
    "AdaptedNetwork": lambda: AdaptedNetwork(torch.nn.Conv2d(1, 1, 1), SHAPE, call=_call),
    "TrainingSet": data,
    "Judge": lambda: crafted().judge,
    "Verdicts": lambda: crafted().judge(crafted().images),
    "Result": result,
    "Posterior": posterior,
    "Comparison": lambda: sm.compare(sm.els(data(), 3), {"none": sm.els(data(), 1)}, data(), 2, 1),
    "Calibration": lambda: Calibration((0.5, 1.0), (1, 3), curves(1, 3)),
    "JointCalibration": joint,
    "GoldenSubset": lambda: GoldenSubset(data()),
    "PCALocality": lambda: PCALocality(data()),
    "StrengthCalibration": lambda: StrengthCalibration((0.5, 1.0), (1.0, 3.0), curves(1, 3)),
    "GainSchedule": lambda: GainSchedule((0.5, 1.0), (1.0, 3.0)),
    "WindowSchedule": lambda: sm.WindowSchedule((0.5, 1.0), (1, 3)),
    "CosineSchedule": CosineSchedule,
    "TableSchedule": TableSchedule.linear,
    "Proportion": lambda: sm.Proportion(3, 5),
    "MemorisationTest": lambda: MemorisationTest(0.5, 0.1, 9, *[sm.Proportion(1, 5)] * 2, 0),
}
"""Objects whose methods are tried."""


def _call(noisy: torch.Tensor, alpha_bar: torch.Tensor, labels: object) -> torch.Tensor:
    return noisy


USUAL: dict[str, dict[str, Callable[[], Any]]] = {
    "paired_difference": {"first": lambda: [0.1, 0.4, 0.3], "second": lambda: [0.2, 0.1, 0.3]},
    **{
        key: {"attention": Tiled}
        for key in ("GroupConsensus", "Scaled", "ByGroup", "PerplexityGain")
    },
    "reduce": {"reductions": lambda: Total(), "blocks": lambda: Pass(crafted(), 2)},
    "Pass": {"block": lambda: 2, "members": lambda: torch.tensor([0, 1])},
    "Divided": {"parts": lambda: 2},
    "Groups": {"groups": lambda: torch.tensor([0, 1])},
    "Summary": {name: lambda: 0.5 for name in ("median", "low", "high")},
    "usual_windows": {"height": lambda: 6, "width": lambda: 8},
    "from_pretrained": {"pretrained_model_name_or_path": lambda: "saved"},
    "members": {"noisy": lambda: draw(*SHAPE)},
    "posterior": {"pixels": lambda: torch.tensor([0, 7])},
    "JointCalibration": {"values": lambda: joint().values},
    **{key: {"draws": lambda: 2} for key in ("calibrate_jointly", "predict_jointly")},
    "calibrate_strength": {"attention": lambda: lambda strength: Scaled(Tiled(), strength)},
    "features": {"image": lambda: crafted().images[0]},
    "shuffled": {"images": lambda: crafted().images},
    "arrange": {"index": lambda: 1},
    "from_folder": {"path": lambda: "pictures", "size": lambda: (6, 8)},
    "from_zip": {"path": lambda: "pictures.zip"},
    "from_tar": {"path": lambda: "pictures.tar"},
    "from_shards": {"path": lambda: "set.shards"},
    "shard": {"source": lambda: "images.npy", "output": lambda: "new.shards"},
    "from_numpy": {"path": lambda: "images.npy"},
    "from_picture": {"path": lambda: "picture.png"},
    "from_idx": {"path": lambda: "images-idx3-ubyte"},
    "ShapesConfig": {"values": lambda: 2, "size": lambda: 12, "feature_size": lambda: 3},
    "open_data": {"settings": lambda: DataSettings("digits", limit=5)},
    "save_training_set": {"path": lambda: "set.safetensors"},
    "load_training_set": {"path": lambda: "whole.safetensors"},
    **{key: {"sample": lambda: 1} for key in ("show_entropy", "show_map", "show_source")},
    "open_source": {"limit": lambda: 5},
    "check_test": {"level": lambda: 0.1},
    "make_engine": {"engine": lambda: "torch"},
    "make_scheduler": {"name": lambda: "DDIM"},
    "check_window": {"shape": lambda: (6, 8)},
    "Proportion": {"successes": lambda: 1},
    "load_diffusers": {"folder": lambda: "unet"},
    "for_data": {"settings": lambda: SMALL},
    "predict": {"alpha_bar": lambda: torch.tensor([0.5, 0.1])},
    "anneal": {"progress": lambda: 0.5, "generator": torch.Generator},
    "sensitivity": {"pixel": lambda: (2, 3)},
    "read_scales": {"text": lambda: "1,2"},
    "figures_html": {
        "head": lambda: "head",
        "pictures": lambda: [("a", Image.new("RGB", (3, 4)))],
        "note": lambda: "note",
    },
    "mosaic": {"images": lambda: posterior().sources.image[0]},  # type: ignore[union-attr]
    "to_data_uri": {"picture": lambda: Image.new("L", (3, 4))},
    "save_picture": {"picture": lambda: Image.new("L", (3, 4))},
    **{key: {"across": lambda: "x", "up": lambda: "y"} for key in ("density", "scatter")},
    "save_figure": {"figure": lambda: Figure()},
    "Posterior": {
        "log_weight": lambda: torch.zeros(2, 6, 8, dtype=torch.float64),
        "mean": lambda: draw(2, *SHAPE),
    },
    "at": {"index": lambda: torch.tensor([0, 1])},
    "MachineView": {"title": lambda: "title", "caption": lambda: "caption"},
    "Section": {
        "title": lambda: "title",
        "text": lambda: "text",
        "machines": lambda: page().sections[0].machines,
    },
    "Page": {"title": lambda: "title", "lead": lambda: "lead", "sections": lambda: []},
    **{
        key: {"scheduler": lambda: "kg", "best": lambda: 2, "seed": lambda: 3}
        for key in ("sample", "trajectory")
    },
    "scheduler_trajectory": {"scheduler": lambda: make_scheduler("DDIM")},
    "noise_generator": {"index": lambda: 3},
    **{key: {"path": lambda: "run"} for key in ("load_network", "load_run_data", "load_settings")},
    "build_attention": {"spec": lambda: AttentionSpec("tiled")},
    "AttentionSpec": {"map": lambda: "tiled", "windows": lambda: None, "path": lambda: None},
    "MachineSpec": {"attention": lambda: AttentionSpec()},
    "EngineSpec": {"name": lambda: "torch"},
    **{key: {"text": lambda: "torch"} for key in ("parse", "read", "read_gain")},
    "checked": {"gain": lambda: 1.3},
    "gain_text": {"gain": lambda: 1.3},
    "as_engine": {"engine": lambda: "torch", "memory": lambda: 2**28},
    "engine_spec": {"engine": lambda: make_engine("torch")},
    "make_denoiser": {"name": lambda: "wiener"},
    "share_words": {"share": lambda: 0.5},
    "train_in_folder": {"folder": lambda: "trained", "resume": lambda: True},
    "TrainSettings": {"size": lambda: "6x8", "network": lambda: SMALL},
}
"""Other right arguments, by the name of what is called."""
