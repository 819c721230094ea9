"""Files that runs read back, edited in many ways: refused in one line, or computed again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from scoremachines.calibration import Calibration, StrengthCalibration
from scoremachines.cli.main import main
from scoremachines.data.settings import DataSettings
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.errors import InputError
from scoremachines.experiments.bench.run import _read as read_bench
from scoremachines.experiments.networks import read_curve
from scoremachines.experiments.opened import open_run
from scoremachines.experiments.sample_cache import Model, sample_all, samples_of
from scoremachines.experiments.trainings import SHIPPED
from scoremachines.io.sealed import write_json
from scoremachines.networks.training import load_network, load_run_data
from scoremachines.theory.specs import MachineSpec

SHAPES = ["shapes", "--size", "9x11", "--shapes.feature_size", "2", "--shapes.n", "12"]
GENERATE = ["generate", *SHAPES, "--window", "3", "-n", "4", "--batch", "2", "--steps", "3"]
TRAIN = ["train", *SHAPES, "--network.width", "8", "--network.receptive_field", "3"]
TRAIN += [
    "--network.attention",
    "soft",
    "--network.key_width",
    "6",
    "--batch",
    "5",
    "--steps",
    "2",
]
MODEL = Model(
    DataSettings(
        source="shapes", shapes=ShapesConfig(size=(7, 9), n=5, feature_size=2, features=2)
    ),
    n=3,
    machine=MachineSpec(),
    window="3",
    steps=1,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of every kind."""
    top = tmp_path_factory.mktemp("made")
    assert main([*GENERATE, "-o", str(top / "painted")]) == 0
    assert main([*GENERATE, "--seed", "1", "-o", str(top / "other")]) == 0
    assert main([*TRAIN, "-o", str(top / "trained")]) == 0
    words = ["calibrate", str(top / "trained"), "--seeds", "2", "--steps", "2", "--strength"]
    assert main(words) == 0
    few = ["-n", "3", "--batch", "2", "--steps", "2"]
    assert main(["compare", str(top / "trained"), *few, "-o", str(top / "compared")]) == 0
    sample_all([MODEL, replace(MODEL, seed=1)], top / "samples")
    result = {"engine": "torch", "machine": "els", "window": 3, "count": 5, "level": 0.5}
    results = [result | {"seconds": 0.5}]
    write_json(top / "bench.json", {"results": results, "samples": [], "machine": {}})
    shutil.copytree(SHIPPED / "soft-0", top / "shipped")
    return top


PIECE = next(iter(MODEL.pieces()))
FILES: dict[str, Callable[[Path], Any]] = {
    "painted/parts/000000-000002.safetensors": lambda top: open_run(top / "painted"),
    "painted/parts/run.json": lambda top: open_run(top / "painted"),
    "compared/images.safetensors": lambda top: open_run(top / "compared"),
    "compared/compare.json": lambda top: open_run(top / "compared"),
    "trained/network/diffusion_pytorch_model.safetensors": lambda top: load_network(
        top / "trained"
    ),
    "trained/network/config.json": lambda top: load_network(top / "trained"),
    "trained/run.json": lambda top: load_run_data(top / "trained"),
    "trained/calibration.json": lambda top: Calibration.load(top / "trained/calibration.json"),
    "trained/strength.json": lambda top: StrengthCalibration.load(top / "trained/strength.json"),
    "samples/{model}": lambda top: samples_of(MODEL, top / "samples"),
    "shipped/diffusion_pytorch_model.safetensors": lambda top: load_network(top / "shipped"),
    "shipped/agreement.json": lambda top: read_curve(top / "shipped"),
    "bench.json": lambda top: read_bench(top / "bench.json"),
}


def edit_tensors(path: Path, draw: random.Random) -> list[tuple[str, Callable[[], None]]]:
    """Return edits of a file of tensors, whose old checksum is kept."""
    with safe_open(path, framework="pt") as file:
        about = dict(file.metadata())
    tensors = load_file(path)
    name = draw.choice(sorted(each for each in tensors if tensors[each].numel() > 1))
    old = tensors[name]
    real = old.is_floating_point()
    changed = {
        "nan or negative": torch.full_like(old, torch.nan if real else -7),
        "infinite or huge": torch.full_like(old, torch.inf if real else 2**40),
        "fewer": old[:-1].clone(),
        "more axes": old[None].clone(),
        "another type": old.half() if old.dtype != torch.float16 else old.float(),
        "zeros": torch.zeros_like(old) if old.any() else torch.ones_like(old),
        "one value": old.flatten().index_add(0, torch.tensor([0]), old.new_ones(1)).view_as(old),
    }
    edits = [
        (kind, lambda value=value: save_file(tensors | {name: value}, path, about))
        for kind, value in changed.items()
    ]
    without = {each: value for each, value in tensors.items() if each != name}
    edits.append(("missing", lambda: save_file(without, path, about)))
    strange = {**tensors, "strange": torch.zeros(1)}
    edits.append(("strange", lambda: save_file(strange, path, about)))
    edits.append(("no checksum", lambda: save_file(strange, path, {"format": "pt"})))
    return edits


def edit_json(path: Path, draw: random.Random) -> list[tuple[str, Callable[[], None]]]:
    content = json.loads(path.read_text())
    name = draw.choice(
        sorted(each for each in content if each != "sha256" and content[each] is not None)
    )
    without = {each: value for each, value in content.items() if each != name}
    changed = {
        "missing": without,
        "null": content | {name: None},
        "another kind": content | {name: {"a": [1]}},
        "strange": content | {"strange": 1},
        "checksum": content | {"sha256": 5},
        "list": [content],
    }
    return [
        (kind, lambda value=value: (path.write_text(json.dumps(value)), None)[1])
        for kind, value in changed.items()
    ]


def edit_bytes(path: Path, draw: random.Random) -> list[tuple[str, Callable[[], None]]]:
    whole = path.read_bytes()
    place, length = draw.randrange(len(whole)), draw.randrange(1, len(whole) - 1)
    while whole[place : place + 1].isspace():
        place = draw.randrange(len(whole))
    changed = {
        "flipped": whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :],
        "cut": whole[:length],
        "empty": b"",
        "zeros": bytes(len(whole)),
        "longer": whole + b"\1" * 9,
    }
    return [
        (kind, lambda value=value: (path.write_bytes(value), None)[1])
        for kind, value in changed.items()
    ]


@pytest.mark.parametrize("name", FILES)
def test_every_edit_is_refused_in_one_line(made: Path, tmp_path: Path, name: str) -> None:
    read, draw = FILES[name], random.Random(name)
    (sampled,) = (made / "samples").glob(f"*{MODEL.key()}*")
    top = tmp_path / "made"
    shutil.copytree(made, top)
    path = top / name.format(model=sampled.name)
    whole = path.read_bytes()
    read(top)
    special = edit_json if path.suffix == ".json" else edit_tensors
    edits = special(path, draw) + edit_bytes(path, draw) + edit_bytes(path, draw)[:2]
    accepted = []
    for kind, edit in edits:
        path.write_bytes(whole)
        edit()
        try:
            read(top)
        except InputError as error:
            accepted += [kind] * ("\n" in str(error))
        else:
            accepted.append(kind)
    # Weights of other software have no checksum and are read; strange ones are still refused.
    assert accepted == [], f"{len(accepted)} of {len(edits)}"


def test_a_file_of_another_run_is_refused_though_whole(made: Path, tmp_path: Path) -> None:
    top = shutil.copytree(made, tmp_path / "made")
    first, second = (f"parts/{name}.safetensors" for name in ("000000-000002", "000002-000004"))
    shutil.copy(top / "other" / first, top / "painted" / first)
    with pytest.raises(InputError, match="it belongs to another run"):
        open_run(top / "painted")
    shutil.copy(made / "painted" / second, top / "painted" / first)
    with pytest.raises(InputError, match="it belongs to another run"):
        open_run(top / "painted")
    mine, others = (
        next((top / "samples").glob(f"*{model.key()}*"))
        for model in (MODEL, replace(MODEL, seed=1))
    )
    shutil.copy(others, mine)
    with pytest.raises(InputError, match="it belongs to another run"):
        samples_of(MODEL, top / "samples")


@pytest.mark.parametrize(
    "name",
    ["painted/parts/000000-000002.safetensors", "compared/parts/*-000000-000002.safetensors"],
)
def test_a_damaged_part_is_computed_again(
    made: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = name.partition("/")[0]
    run = shutil.copytree(made / kind, tmp_path / kind)
    damaged = sorted(tmp_path.glob(name))[0]
    images = load_file(damaged)
    save_file(images | {"images": images["images"] * torch.nan}, damaged)
    few = ["-n", "3", "--batch", "2", "--steps", "2"]
    words = GENERATE if kind == "painted" else ["compare", str(made / "trained"), *few]
    assert main([*words, "-o", str(run), "--resume"]) == 0
    assert f"note: {damaged} is computed again: " in capsys.readouterr().err
    for path in (made / kind).rglob("*"):
        if path.is_file() and path.suffix in (".safetensors", ".png", ".json", ".parquet"):
            assert (run / path.relative_to(made / kind)).read_bytes() == path.read_bytes()


def test_damaged_samples_are_computed_again(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = shutil.copytree(made / "samples", tmp_path / "samples")
    known = samples_of(MODEL, kept)
    (path,) = kept.glob(f"*{MODEL.key()}*")
    path.write_bytes(path.read_bytes()[:-4])
    sample_all([MODEL], kept)
    assert torch.equal(samples_of(MODEL, kept), known)
    assert f"note: {path} is computed again: " in capsys.readouterr().err
