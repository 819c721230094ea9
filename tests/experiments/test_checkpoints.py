"""The networks that the package brings along: what they are, and that they open."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.calibration import Calibration
from scoremachines.experiments.networks import (
    CNN,
    REPEATED,
    ROUND,
    SOFT,
    TRAININGS,
    read_curve,
)
from scoremachines.experiments.settings import CRAFTED
from scoremachines.experiments.trainings import SHIPPED as CHECKPOINTS
from scoremachines.networks import Network, NetworkSettings
from scoremachines.networks.training import load_network
from support.places import ROOT

PACKED = runpy.run_path(str(ROOT / "tools" / "pack_checkpoints.py"))["packed"]
SHIPPED = {
    f"{role.folder}-{seed}": role
    for role in (*TRAININGS, *ROUND)
    for seed in range(3 if role in REPEATED else 1)
} | {f"digits-{role.folder}-0": role for role in (CNN, SOFT)}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_network_is_there_and_opens(name: str) -> None:
    network, wanted = load_network(CHECKPOINTS / name), SHIPPED[name].network
    for setting in ("attention", "padding", "width", "receptive_field"):
        assert network.config[setting] == getattr(wanted, setting)
    noisy = torch.randn(2, *network.shape, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(network.denoise(noisy, 0.3)).all()
    if name in ("cnn-long-0", "circular-0", "digits-cnn-0", "digits-soft-0"):
        windows = Calibration.load(CHECKPOINTS / name / "calibration.json").windows
        assert set(windows) <= {1, 3, 5, 7}
    if SHIPPED[name].longer:
        curve = read_curve(CHECKPOINTS / name)
        assert curve[-1]["step"] == 8750


def test_nothing_else_is_shipped() -> None:
    found = {path.name for path in CHECKPOINTS.iterdir() if path.is_dir()}
    assert found == set(SHIPPED)
    assert sum(path.stat().st_size for path in CHECKPOINTS.rglob("*")) < 12e6
    for config in CHECKPOINTS.rglob("config.json"):
        assert "/" not in config.read_text()


def test_attention_networks_denoise_better_than_the_cnn() -> None:
    """What attention is for: on noised training images its loss is smaller."""
    data = sm.shapes(size=CRAFTED.shapes.size, n=60, feature_size=3)
    noise = torch.randn(data.images.shape, generator=torch.Generator().manual_seed(3))
    noisy = 0.3**0.5 * data.images + 0.7**0.5 * noise
    errors = {
        name: float(
            (load_network(CHECKPOINTS / name).denoise(noisy, 0.3) - data.images).square().mean()
        )
        for name in ("cnn-0", "soft-0", "identity-0", "top1-0")
    }
    assert all(errors[name] < errors["cnn-0"] for name in errors if name != "cnn-0")


def test_packing_keeps_the_network_up_to_rounding(tmp_path: Path) -> None:
    network = Network.for_data(
        sm.shapes(size=12, n=4, feature_size=3), NetworkSettings(width=8)
    ).eval()
    torch.nn.init.normal_(network.readout.weight)
    network.save_pretrained(tmp_path / "networks" / "one-0")
    (written,) = PACKED(tmp_path / "networks", tmp_path / "kept")
    noisy = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    again = load_network(written)
    assert again.dtype == torch.float32
    torch.testing.assert_close(
        again.denoise(noisy, 0.5), network.denoise(noisy, 0.5), rtol=0.01, atol=0.01
    )


def test_no_networks_to_pack(tmp_path: Path) -> None:
    with pytest.raises(sm.InputError, match="networks"):
        PACKED(tmp_path, tmp_path / "kept")


@pytest.mark.slow
def test_agreement_on_a_class_predicts_the_soft_network_without_a_border() -> None:
    """At 24 seeds; `docs/experiment.md` has 64."""
    data = sm.shapes(size=12, n=500, feature_size=3)
    machines = {
        name: sm.ScoreMachine(data, 7, "circular", name) for name in ("none", "tiled-consensus")
    }
    network = load_network(CHECKPOINTS / "soft-circular-0")
    found = sm.compare(network, machines, data, 24, 10, seed=500, network_steps=30)
    r = {row.machine: float(torch.tensor(row.r).nanmedian()) for row in found.rows}
    assert r["tiled-consensus"] > max(0.75, r["none"] + 0.15)
