"""Samples kept as files: the same whoever computes them, named by all that decides them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scoremachines.data.open import open_data
from scoremachines.data.settings import DataSettings
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.errors import InputError
from scoremachines.experiments.sample_cache import Model, sample_all, samples_of
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training import TrainSettings, load_network, train_in_folder
from scoremachines.sampling.sample import sample
from scoremachines.theory.specs import MachineSpec

SHAPES = ShapesConfig(size=(7, 9), n=5, feature_size=2, features=2)
TILED = MachineSpec.parse("tiled")
DATA = DataSettings(source="shapes", shapes=SHAPES)
MACHINE = Model(DATA, n=53, machine=TILED, window="3", steps=1)


def trained(folder: Path, steps: int) -> str:
    shape = NetworkSettings(width=8, receptive_field=5, key_width=6, attention="soft")
    settings = TrainSettings(network=shape, steps=steps, batch=4, warmup=1)
    train_in_folder(open_data(DATA), settings, folder)
    return str(folder)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(tmp_path_factory.mktemp("runs") / "soft-0", 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_two_processes_write_what_one_writes(network: str, tmp_path: Path) -> None:
    models = [
        MACHINE,
        Model(DATA, n=3, network=network, steps=2),
        Model(
            DATA,
            n=4,
            network=network,
            machine=MachineSpec.parse("measured:1.3"),
            window="3",
            steps=2,
        ),
    ]
    one, two = tmp_path / "one", tmp_path / "two"
    sample_all(models, one)
    sample_all(models, two, workers=2)
    assert contents(one) == contents(two)
    assert len(contents(one)) == 4
    assert [len(samples_of(model, one)) for model in models] == [53, 3, 4]


def test_samples_are_those_of_the_library(network: str, tmp_path: Path) -> None:
    model = Model(DATA, n=3, network=network, steps=2, seed=4)
    sample_all([model], tmp_path)
    known = sample(load_network(network), 3, 2, 4, data=open_data(DATA), best=0).images
    torch.testing.assert_close(samples_of(model, tmp_path), known, rtol=0, atol=1e-6)


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    sample_all([MACHINE], tmp_path)
    before = contents(tmp_path)
    kept, lost = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_size, reverse=True)
    assert len(load_file(kept)["images"]) == 50
    os.utime(kept, (1, 1))
    lost.unlink()
    sample_all([MACHINE], tmp_path)
    assert contents(tmp_path) == before
    assert kept.stat().st_mtime == 1
    assert lost.stat().st_mtime > 1


def test_more_samples_begin_with_the_whole_files_of_fewer(tmp_path: Path) -> None:
    few, more = replace(MACHINE, n=50), MACHINE
    sample_all([few], tmp_path)
    before = contents(tmp_path)
    sample_all([more], tmp_path)
    after = contents(tmp_path)
    assert len(after) == 2
    assert before.items() <= after.items()
    assert torch.equal(samples_of(more, tmp_path)[:50], samples_of(few, tmp_path))


def test_a_key_holds_all_that_decides_a_sample(network: str, tmp_path: Path) -> None:
    other = trained(tmp_path / "soft-0", 3)
    shapes = replace(DATA, shapes=replace(SHAPES, seed=1))
    model = Model(DATA, network=network)
    different = [
        model,
        replace(model, network=other),
        replace(model, data=shapes),
        replace(model, machine=MachineSpec.parse("measured")),
        replace(model, steps=19),
        replace(model, scheduler="DDPM"),
        replace(model, seed=1),
        replace(model, machine=TILED, window="5"),
        replace(model, network=None, machine=TILED, sources="valid"),
        replace(model, network=None, machine=TILED, sources="circular"),
    ]
    assert len({each.key() for each in different}) == len(different)
    assert replace(model, n=7).key() == model.key()


def test_a_damaged_or_missing_file_is_one_line(tmp_path: Path) -> None:
    model = replace(MACHINE, n=2)
    with pytest.raises(InputError, match="folder"):
        samples_of(model, tmp_path)
    sample_all([model], tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="samples of an experiment"):
        samples_of(model, tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_cannot_be_is_refused(workers: int, tmp_path: Path) -> None:
    impossible = replace(MACHINE, n=1, machine=MachineSpec.parse("measured"))
    with pytest.raises(InputError, match="no network shows any maps"):
        sample_all([impossible], tmp_path / "out", workers=workers)
    assert list((tmp_path / "out").iterdir()) == []
