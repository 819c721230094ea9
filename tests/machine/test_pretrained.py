"""Machines kept in folders: what comes back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import (
    ByGroup,
    GroupConsensus,
    MultiScale,
    PerplexityGain,
    Scaled,
    Soft,
    Tiled,
)
from scoremachines.engines import AdaptiveEngine, native_instructions
from scoremachines.errors import InputError
from scoremachines.machine import pretrained
from scoremachines.theory.specs import GainSchedule


def images(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape or (6, 3, 5, 7), generator=draw) * 2 - 1


CHOICES = [
    {"window": {0.0: 1, 1 / 3: 3, 0.4: 5}, "schedule": [0.9, 0.5, 0.1]},
    {"window": {0.1234567: 1, 0.1234568: 3}, "schedule": "linear"},
    {"window": 1, "attention": MultiScale((3, 5))},
    {"window": 3, "attention": "multiscale"},
    {"window": 3, "attention": Scaled(Soft(images(35, 35).abs()), 0.25)},
    {
        "window": 3,
        "attention": GroupConsensus(
            PerplexityGain(Soft(images(35, 35).abs())), torch.arange(6) % 3
        ),
    },
    {"window": 3, "attention": ByGroup(Scaled(Tiled(), GainSchedule((0.0, 0.7), (2.0, 0.1))))},
    {"window": None, "sources": "circular", "attention": "top1"},
    {"window": 3, "prediction_type": "v_prediction", "alphas_cumprod": [0.8, 0.6, 0.3]},
]


@pytest.mark.parametrize("choices", CHOICES)
def test_every_choice_comes_back(choices: dict[str, object], tmp_path: Path) -> None:
    data = sm.TrainingSet(images(), torch.arange(6) % 2)
    machine = sm.ScoreMachine(data, **choices)
    machine.save_pretrained(tmp_path / "machine")
    again = sm.ScoreMachine.from_pretrained(tmp_path, subfolder="machine")
    levels = torch.tensor([0.02, 0.3, 0.86, 0.99])
    noisy = images(4, 3, 5, 7, seed=1)
    assert torch.equal(again.denoise(noisy, levels), machine.denoise(noisy, levels))
    assert torch.equal(again(noisy, 1.5).sample, machine(noisy, 1.5).sample)
    assert again.window == machine.window
    assert {**again.config} == {**machine.config}
    # Kept once more, nothing has changed.
    again.save_pretrained(tmp_path / "again")
    first, second = (tmp_path / name / "config.json" for name in ("machine", "again"))
    assert first.read_text() == second.read_text()


@pytest.mark.skipif(not native_instructions(), reason="built without a compiler")
def test_a_tolerance_comes_back(tmp_path: Path) -> None:
    engine = AdaptiveEngine(tolerance=1e-3)
    sm.els(sm.TrainingSet(images()), 3, engine=engine).save_pretrained(tmp_path)
    again = sm.ScoreMachine.from_pretrained(tmp_path)
    assert isinstance(again.engine, AdaptiveEngine)
    assert again.engine.tolerance == 1e-3


def test_labels_and_names_come_back(tmp_path: Path) -> None:
    data = sm.TrainingSet(images(), torch.arange(6) % 2, ("even", "odd"), names=list("abcdef"))
    sm.els(data, 3).save_pretrained(tmp_path)
    again = sm.ScoreMachine.from_pretrained(tmp_path)
    assert again.data.names == data.names
    assert again.data.classes == data.classes
    noisy = images(2, 3, 5, 7, seed=1)
    known = sm.els(data, 3).denoise(noisy, 0.5, data.label("odd"))
    assert torch.equal(again.denoise(noisy, 0.5, again.data.label("odd")), known)


def test_a_large_set_that_is_not_what_lies_in_its_folder_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resized, cut or converted since it was read: a reference could not bring it back."""
    monkeypatch.setattr(pretrained, "EMBEDDED", 100)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(((images() + 1) * 127).byte()):
        Image.fromarray(image.movedim(0, -1).numpy()).save(folder / f"{number}.png")
    plain = sm.from_folder(folder)
    resized = sm.from_folder(folder, size=(4, 6))
    for number, data in enumerate((resized, plain.subset([0, 2, 3]), plain.resized(5))):
        target = tmp_path / str(number)
        sm.local(data, 3).save_pretrained(target)
        assert (target / "training_set.safetensors").exists()
        again = sm.ScoreMachine.from_pretrained(target)
        assert again.data.fingerprint() == data.fingerprint()
    sm.local(plain, 3).save_pretrained(tmp_path / "plain")
    assert not (tmp_path / "plain" / "training_set.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", "{}"),
        ("attention.safetensors", "nonsense"),
        ("attention.safetensors", None),
        ("training_set.safetensors", "nonsense"),
        ("training_set.safetensors", None),
    ],
)
def test_damaged_folders_are_refused_in_one_line(
    name: str, content: str | None, tmp_path: Path
) -> None:
    soft = Soft(images(35, 35).abs())
    sm.els(sm.TrainingSet(images()), 3, attention=soft).save_pretrained(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as refused:
        sm.ScoreMachine.from_pretrained(tmp_path)
    assert "\n" not in str(refused.value)
