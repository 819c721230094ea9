"""Network against machines: the same noise, the same levels, numbers that follow from images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import GroupConsensus, Measured, PerplexityGain, Scaled
from scoremachines.calibration import calibrate, calibrate_strength
from scoremachines.errors import InputError
from scoremachines.experiments import (
    Comparison,
    compare,
    make_machines,
    network_strength,
    network_window,
)
from scoremachines.experiments.machines import network_attention
from scoremachines.io.pictures import grid, labelled_rows
from scoremachines.machine.baselines import Wiener
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.networks import Network
from scoremachines.theory.schedule import noise_schedule
from scoremachines.theory.specs import AttentionSpec, machine_names

SHAPE = (3, 5, 7)


def training_set(count: int = 11) -> sm.TrainingSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(count, *SHAPE, generator=generator) * 2 - 1
    return sm.TrainingSet(pixels, torch.arange(count) % 2, ("even", "odd"))


def network(attention: str = "soft", classes: int = 0, padding: str = "zeros") -> Network:
    torch.manual_seed(0)
    made = Network(
        (5, 7),
        3,
        attention=attention,
        padding=padding,
        width=8,
        receptive_field=5,
        key_width=8,
        classes=classes,
        schedule="linear",
    )
    torch.nn.init.normal_(made.readout.weight, std=0.1)
    return made.eval()


def test_a_machine_agrees_with_itself_exactly() -> None:
    data = training_set()
    machine = sm.bbels(data, 3, schedule="linear")
    found = compare(machine, {"itself": machine, "els": sm.els(data, 3)}, data, n=5, steps=3)
    itself, other = found.rows
    for values in (itself.r, itself.r2, itself.determination):
        assert values == (1.0,) * 5
    assert max(other.r) < 1
    assert other.lead is None
    assert itself.lead is not None
    assert itself.lead.above_zero


def test_a_network_agrees_with_itself_only_at_the_same_number_of_steps() -> None:
    net, data = network(), training_set()
    same = compare(net, {"network": net}, data, n=4, steps=3, batch=3)
    assert same.rows[0].r == (1.0,) * 4
    more = compare(net, {"network": net}, data, n=4, steps=3, network_steps=5)
    assert max(more.rows[0].r) < 1
    torch.testing.assert_close(more.machines["network"], same.network)


def test_images_are_those_that_sampling_makes_whatever_the_batch() -> None:
    net, data = network(), training_set()
    machine = sm.bbels(data, 3, attention="tiled", schedule="linear")
    found = compare(net, {"tiled": machine}, data, n=5, steps=4, seed=7, batch=2)
    for mine, denoiser in ((found.network, net), (found.machines["tiled"], machine)):
        known = sm.sample(denoiser, 5, 4, 7, data=data, best=0).images
        torch.testing.assert_close(mine, known, rtol=0, atol=1e-6)
    whole = compare(net, {"tiled": machine}, data, n=5, steps=4, seed=7)
    assert torch.equal(whole.machines["tiled"], found.machines["tiled"])
    first = compare(net, {"tiled": machine}, data, n=2, steps=4, seed=7)
    assert torch.equal(first.machines["tiled"], found.machines["tiled"][:2])


def test_machines_are_evaluated_at_the_levels_of_the_networks_schedule() -> None:
    class Asked(DenoiserModel):
        levels: list[float]

        def denoise(
            self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
        ) -> Tensor:
            self.levels.append(float(alpha_bar))
            return noisy * 0.1

    asked = Asked()
    asked.levels = []
    compare(network(), {"asked": asked}, training_set(), n=2, steps=4, network_steps=3)
    known = noise_schedule("linear").alpha_bar(torch.tensor([1.0, 0.75, 0.5, 0.25]))
    assert asked.levels == known.tolist()


def test_labels_reach_network_and_machines() -> None:
    data, net = training_set(), network(classes=2)
    machines = make_machines(["ideal", "wiener"], net, data, 3)
    labels = ["odd", "even", "odd"]
    found = compare(net, machines, data, n=3, steps=3, labels=labels)
    assert found.about["labels"] == [1, 0, 1]
    plain = compare(net, machines, data, n=3, steps=3)
    for name in machines:
        assert not torch.equal(found.machines[name], plain.machines[name])
    assert not torch.equal(found.network, plain.network)
    index, _ = found_nearest(found.machines["ideal"], data)
    assert (index % 2).tolist() == [1, 0, 1]


def found_nearest(images: Tensor, data: sm.TrainingSet) -> tuple[Tensor, Tensor]:
    return sm.Result(images, data).nearest()


def some_comparison() -> Comparison:
    draw = torch.Generator().manual_seed(1)
    net = torch.randn(9, *SHAPE, generator=draw)
    noise = {name: torch.randn(9, *SHAPE, generator=draw) for name in ("els", "full", "ideal")}
    machines = {name: net * share + noise[name] for name, share in zip(noise, (1, 3, 0.3))}  # noqa: B905
    machines["els"][4] = 0.5  # an image of one value
    return Comparison(net, machines, "els", {"n": 9})


def test_numbers_follow_from_the_images(tmp_path: Path) -> None:
    comparison = some_comparison()
    page = comparison.save(tmp_path / "out", "scoremachines compare …")
    stored = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [row["machine"] for row in stored["rows"]] == ["els", "full", "ideal"]
    images = load_file(tmp_path / "out" / "images.safetensors")
    for row in stored["rows"]:
        mine, theirs = images[f"machine {row['machine']}"], images["network"]
        for seed in range(9):
            r, r2 = row["by_seed"]["r"][seed], row["by_seed"]["r2"][seed]
            if row["machine"] == "els" and seed == 4:
                assert r is None
                assert r2 is None
                continue
            known = np.corrcoef(mine[seed].flatten(), theirs[seed].flatten())[0, 1]
            assert r == pytest.approx(known, abs=1e-6)
            assert r2 == pytest.approx(known**2, abs=1e-6)
        known = [value for value in row["by_seed"]["r"] if value is not None]
        assert row["r"]["median"] == pytest.approx(np.median(known))
        assert row["r"]["missing"] == 9 - len(known)
    els, full, _ = stored["rows"]
    assert els["lead"] is None
    leads = np.subtract(*(np.delete(row["by_seed"]["r"], 4).astype(float) for row in (full, els)))
    assert full["lead"]["median"] == pytest.approx(np.median(leads))
    assert (full["lead"]["n"], full["lead"]["missing"]) == (8, 1)
    html = page.read_text()
    assert html.count("data:image/png;base64,") == 3
    assert "http" not in html.split("</style>")[1]
    for text in ("full", "Pearson r2", "scoremachines compare …", f"{full['r']['median']:.3f}"):
        assert text in html
    with Image.open(tmp_path / "out" / "pairs.png") as pairs:
        assert pairs.height == 4 * (5 * 9 + 8)  # network and three machines, 5 pixels of 9
    for name in ("scatter.png", "pixels.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_rows_of_images_are_named_and_otherwise_untouched() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = {name: torch.rand(3, *SHAPE, generator=draw) for name in ("network", "a long name")}
    sheet = np.asarray(labelled_rows(rows, scale=2))
    height = 2 * 5 + 8
    assert sheet.shape[0] == 2 * height
    for number, images in enumerate(rows.values()):
        known = np.asarray(grid(images, 3, 2))
        row = sheet[number * height : (number + 1) * height]
        np.testing.assert_array_equal(row[:, -known.shape[1] :], known)
        assert row[:, : -known.shape[1]].min() < 128  # the name, in black


def test_the_table_keeps_r_and_r2_apart() -> None:
    head, *lines = some_comparison().table().splitlines()
    assert head.split("  ")[0] == "machine"
    assert "Pearson r " in head
    assert "Pearson r2" in head
    assert "above that of els" in head
    assert [line.split()[0] for line in lines] == ["els", "full", "ideal"]
    assert lines[0].endswith("–")


def test_one_machine_has_nothing_to_be_set_against(tmp_path: Path) -> None:
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    alone = Comparison(images, {"tiled": images})
    alone.save(tmp_path)
    assert not (tmp_path / "scatter.png").exists()
    assert alone.rows[0].lead is None
    assert "above" not in alone.table()


@pytest.mark.parametrize(("padding", "sources"), [("zeros", "boundary"), ("circular", "valid")])
def test_machines_by_name_are_those_of_the_network(padding: str, sources: str) -> None:
    net, data = network(padding=padding), training_set()
    made = make_machines(machine_names(), net, data, 3)
    assert list(made) == machine_names()
    noisy = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
    plain = sm.ScoreMachine(data, 3, sources, schedule="linear")
    assert torch.equal(made["none"].denoise(noisy, 0.5), plain.denoise(noisy, 0.5))
    assert isinstance(made["wiener"], Wiener)
    for name, machine in made.items():
        assert machine.schedule.setting == "linear", name
    known = sm.ScoreMachine(data, 3, sources, net.attention, schedule="linear")
    assert torch.equal(made["measured"].denoise(noisy, 0.5), known.denoise(noisy, 0.5))
    by_padding = {"boundary": "bbels", "valid": "els"}[sources]
    assert torch.equal(made["none"].denoise(noisy, 0.5), made[by_padding].denoise(noisy, 0.5))


def test_an_attention_may_have_a_strength() -> None:
    net, data = network(), training_set()
    made = make_machines(["none", "measured:0", "measured:1.3", "tiled:0.5"], net, data, 3)
    noisy = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
    found = {name: machine.denoise(noisy, 0.5) for name, machine in made.items()}
    torch.testing.assert_close(found["measured:0"], found["none"])
    known = Scaled(sm.ScoreMachine(data, 3, "boundary", net.attention).attention, 1.3)
    machine = sm.ScoreMachine(data, 3, "boundary", known, schedule="linear")
    assert torch.equal(found["measured:1.3"], machine.denoise(noisy, 0.5))
    assert not torch.equal(found["measured:1.3"], found["none"])


def test_a_strength_may_be_a_calibrated_one(tmp_path: Path) -> None:
    net, data = network(), training_set()
    assert network_strength(tmp_path) is None
    name = "measured-consensus:calibrated"
    with pytest.raises(InputError, match=name):
        make_machines([name], net, data, 3)
    found = calibrate_strength(
        net,
        data,
        lambda given: network_attention(AttentionSpec("measured", "consensus", given), net),
        window=3,
        strengths=(0.5, 2),
        steps=2,
        seeds=2,
    )
    (spread,) = make_machines(["measured-consensus:perplexity"], net, data, 3).values()
    assert isinstance(spread, sm.ScoreMachine)
    assert isinstance(getattr(spread.attention, "attention", None), PerplexityGain)
    found.save(tmp_path / "strength.json")
    (machine,) = make_machines([name], net, data, 3, strength=network_strength(tmp_path)).values()
    known = GroupConsensus(Scaled(Measured(net.attention), found))
    expected = sm.ScoreMachine(data, 3, "boundary", known, schedule="linear")
    noisy = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
    assert torch.equal(machine.denoise(noisy, 0.5), expected.denoise(noisy, 0.5))


def test_the_window_is_the_calibrated_one_or_what_the_network_sees(tmp_path: Path) -> None:
    net, data = network(), training_set()
    assert network_window(net) == 5
    assert network_window(net, tmp_path) == 5
    found = calibrate(net, data, windows=(1, 3), steps=3, seeds=2)
    found.save(tmp_path / "calibration.json")
    assert network_window(net, tmp_path) == found.schedule
    wide = Network((6, 8), 1, receptive_field=9, width=8)
    assert network_window(wide) == 5
    with pytest.raises(InputError, match="window"):
        network_window(sm.els(data, 3))


@pytest.mark.parametrize(
    "name", ["gaussian", "measured:", "ideal:2", "full:much", "tiled:-1", "measured:nan"]
)
def test_machines_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        make_machines([name], network(), training_set(), 3)


def test_what_cannot_be_compared_is_refused() -> None:
    net, data = network(), training_set()
    machine = {"none": sm.bbels(data, 3)}
    for wrong in ({"n": 0}, {"steps": 0}, {"network_steps": 0}, {"batch": 0}, {"seed": -1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            compare(net, machine, data, **wrong)
    with pytest.raises(InputError, match="machines"):
        compare(net, {}, data)
    with pytest.raises(InputError, match="data"):
        compare(net, machine, sm.TrainingSet(torch.zeros(2, 3, 7, 5)))
    with pytest.raises(InputError, match="without"):
        Comparison(torch.zeros(1, *SHAPE), {"full": torch.zeros(1, *SHAPE)}, "none")
    with pytest.raises(InputError, match="no network shows any maps"):
        make_machines(["measured"], Wiener(data), data, 3, "boundary")
    with pytest.raises(InputError, match="sources"):
        make_machines(["tiled"], Wiener(data), data, 3)
