"""Attention in full: Π_u(i) summed by hand, given maps, and where there is nobody to hear."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import AttentionContext, Measured, MultiScale, Scaled, Soft, Top1
from scoremachines.attention.base import reduce_here
from scoremachines.engines import Query, ReferenceEngine
from scoremachines.errors import InputError

H, W = 5, 7


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(shape or (6, 3, H, W), generator=draw, dtype=torch.float64) * 2 - 1).to(
        dtype
    )


def matrix(noisy: Tensor, level: float) -> Tensor:
    """Return identity attention's A for one image, from wrapped 3×3 windows."""
    window = [noisy.roll((1 - r, 1 - s), (1, 2)) for r, s in itertools.product(range(3), repeat=2)]
    around = torch.stack(window).flatten(2).permute(2, 0, 1).flatten(1)  # [u, 9 C]
    logits = -(around[:, None] - around).square().sum(-1) / (4 * (1 - level))
    return logits.fill_diagonal_(-torch.inf).softmax(-1)


def partner(evidence: Tensor) -> Tensor:
    """Return top-1's A, from E `[n, H·W]`: the least entropy over all pairs, pair by pair."""
    chosen = torch.zeros(evidence.shape[1], evidence.shape[1], dtype=torch.float64)
    for u, row in enumerate(chosen):
        pairs = (evidence[:, u : u + 1] + evidence).softmax(0)
        entropy = torch.special.entr(pairs).sum(0)
        entropy[u] = torch.inf
        row[entropy.argmin()] = 1
    return chosen


@pytest.mark.parametrize("engine", ["reference", "torch"])
@pytest.mark.parametrize(
    "attention", ["identity", "top1", "tiled", "full", "multiscale", MultiScale((1, 5)), "given"]
)
def test_machines_obey_the_formula_with_evidence_summed_by_hand(
    attention: object, engine: str
) -> None:
    level, clean, noisy = 0.45, images(), images(2, 3, H, W, seed=1) * 1.5
    levels = torch.full((2,), level, dtype=torch.float64)
    given = images(H * W, H * W, seed=2).abs()
    chosen = given if attention == "given" else attention
    machine = sm.ScoreMachine(sm.TrainingSet(clean), 3, "circular", chosen, engine=engine)
    found = machine.posterior(noisy, level, best=2)

    def evidence(window: int) -> Tensor:
        return (
            ReferenceEngine().evidence(Query(noisy, levels, window, "circular"), clean).flatten(2)
        )

    def weights(sample: int) -> list[tuple[int, Tensor]]:
        ones = torch.ones(H * W, H * W, dtype=torch.float64)
        return {
            "identity": lambda: [(3, matrix(noisy[sample], level))],
            "top1": lambda: [(3, partner(evidence(3)[sample]))],
            "tiled": lambda: [(3, ones / 9)],
            "full": lambda: [(3, ones)],
            "multiscale": lambda: [(3, ones / 9)],  # 7 would not fit into 5 rows
            "given": lambda: [(3, given)],
        }.get(str(attention), lambda: [(1, ones / 2), (5, ones / 50)])()

    bias = torch.zeros(2, 6, H * W, dtype=torch.float64)
    for sample in range(2):
        for window, rows in weights(sample):
            said = evidence(window)[sample]
            for i, u in itertools.product(range(6), range(H * W)):
                others = [float(rows[u, y] * said[i, y]) for y in range(H * W) if y != u]
                bias[sample, i, u] += sum(others)
    query = Query(noisy, levels, 3, "circular")
    known = ReferenceEngine().posterior(
        query, clean, torch.arange(6), bias.unflatten(-1, (H, W)), 2
    )
    torch.testing.assert_close(found.mean, known.mean, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.log_weight, known.log_weight, rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(found.entropy, known.entropy, rtol=0, atol=1e-8)
    assert torch.equal(found.sources.image, known.sources.image)


def test_maps_of_a_network_are_each_samples_own() -> None:
    """Samples of one batch may be treated apart, by window or class, each with its own map."""
    clean, noisy = images(), images(4, 3, H, W, seed=1)
    levels = torch.tensor([0.9, 0.1, 0.8, 0.2], dtype=torch.float64)
    seen: list[Tensor] = []

    def maps(phi: Tensor, time: Tensor) -> Tensor:
        seen.append(time)
        return time[:, None, None] + phi[:, 0].flatten(1).abs()[:, :, None].expand(-1, -1, H * W)

    data = sm.TrainingSet(clean, torch.arange(6) % 2)
    machine = sm.els(data, {0.0: 1, 0.4: 3}, attention=maps)
    labels = torch.tensor([0, 0, 1, 0])
    found = machine.denoise(noisy, levels, labels)
    for i in range(4):
        rows = maps(noisy[i : i + 1], machine.schedule.time(levels[i : i + 1]))[0]
        window = machine.window(float(machine.schedule.time(levels[i])))
        alone = sm.els(data, window, attention=Soft(rows))
        known = alone.denoise(noisy[i : i + 1], levels[i], int(labels[i]))
        torch.testing.assert_close(found[i : i + 1], known, rtol=0, atol=1e-10)
    assert all(((time >= 0) & (time <= 1)).all() for time in seen)


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_strength_scales_the_matrix(strength: float) -> None:
    clean, noisy, rows = images(), images(2, 3, H, W, seed=1), images(H * W, H * W, seed=2).abs()
    data = sm.TrainingSet(clean)
    known = sm.els(data, 3, attention=strength * rows).denoise(noisy, 0.4)
    for attention in (
        Scaled(Soft(rows), strength),
        Scaled(Measured(lambda phi, time: rows), strength),
    ):
        found = sm.els(data, 3, attention=attention).denoise(noisy, 0.4)
        torch.testing.assert_close(found, known, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (torch.zeros(2, H * W, H * W), r"shape \(2, 35, 35\)"),
        (torch.zeros(3, 3), r"\[35, 35\]"),
        (lambda phi, time: torch.zeros(3, H * W, H * W), r"shape \(3, 35, 35\)"),
        (lambda phi, time: torch.zeros(H, W), r"shape \(5, 7\)"),
        (lambda phi, time: torch.full((H * W, H * W), -1.0), "negative"),
        (lambda phi, time: "maps", "attention='maps'"),
        (MultiScale((3, 7)), "window=7: it is larger than the image"),
    ],
)
def test_maps_that_do_not_fit(maps: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sm.els(sm.TrainingSet(images()), 3, attention=maps).denoise(images(2, 3, H, W), 0.5)


@pytest.mark.parametrize("attention", ["identity", "top1", "tiled", "full", "multiscale"])
def test_a_single_pixel_has_no_other_place(attention: str) -> None:
    data, noisy = sm.TrainingSet(images(6, 3, 1, 1)), images(2, 3, 1, 1, seed=1)
    known = sm.local(data, 1).denoise(noisy, 0.5)
    found = sm.local(data, 1, attention=attention).denoise(noisy, 0.5)
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("attention", ["none", "identity", "full", "top1"])
@pytest.mark.parametrize("kind", [(None, "aligned"), (None, "circular"), (5, "aligned")])
def test_neighbours_in_a_larger_batch_change_no_bit(
    kind: tuple[int | None, str], attention: str, dtype: torch.dtype
) -> None:
    clean = images(14, 3, 17, 13, dtype=dtype)
    noisy = images(5, 3, 17, 13, seed=1, dtype=dtype) * 1.5
    levels = torch.tensor([0.9, 0.2, 0.5, 0.01, 0.99])
    machine = sm.ScoreMachine(sm.TrainingSet(clean), *kind, attention)
    together = machine.posterior(noisy, levels, best=2)
    for i in range(5):
        alone = machine.posterior(noisy[i : i + 1], levels[i], best=2)
        known = together.at(slice(i, i + 1))
        assert torch.equal(alone.mean, known.mean)
        assert torch.equal(alone.log_weight, known.log_weight)
        assert torch.equal(alone.entropy, known.entropy)
        assert torch.equal(alone.sources.log_weight, known.sources.log_weight)
        assert torch.equal(alone.sources.position, known.sources.position)


def test_top1_reads_large_sets_in_pieces() -> None:
    """More images than fit at once, and more pairs of pixels than are looked at in one go."""
    evidence, noisy = images(2, 120, 9, 11) * 6, images(2, 3, 9, 11, seed=1)
    levels = torch.full((2,), 0.4, dtype=torch.float64)
    context = AttentionContext(
        noisy, levels, levels, 3, True, reduce_here(*evidence.split([80, 39, 1], 1))
    )
    ((_, rows),) = Top1().attention_weights(context)
    for sample in range(2):
        known = partner(evidence[sample].flatten(1)).argmax(1)
        assert torch.equal(rows.partner[sample], known)


@pytest.mark.parametrize("block", [1, 2, 5])
def test_top1_chooses_the_same_partner_however_the_set_is_read(block: int) -> None:
    clean, noisy = images(11, 3, H, W), images(2, 3, H, W, seed=1)
    known = sm.els(sm.TrainingSet(clean), 3, attention="top1").denoise(noisy, 0.4)
    machine = sm.els(sm.TrainingSet(clean), 3, attention="top1")
    plan = machine.engine.plan
    machine.engine.plan = lambda *all, **wants: type(plan(*all, **wants))(1, block)
    torch.testing.assert_close(machine.denoise(noisy, 0.4), known, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sources", ["aligned", "circular"])
def test_top1_at_the_window_of_the_whole_image_has_one_partner_for_all(sources: str) -> None:
    query = Query(images(2, 3, H, W, seed=1), torch.tensor([0.5, 0.9]), None, sources)
    evidence = ReferenceEngine().evidence(query, images())
    torch.testing.assert_close(evidence, evidence[..., :1, :1].expand(evidence.shape))
    time = torch.tensor([1, 2])
    context = AttentionContext(query.noisy, query.alpha_bar, time, None, False, reduce_here())
    ((window, rows),) = Top1().attention_weights(context)
    assert window is None
    assert rows.partner.tolist() == 2 * [[1, *[0] * (H * W - 1)]]


def test_before_a_single_image_every_pixel_takes_the_first_partner() -> None:
    evidence = images(1, 1, H, W)
    context = AttentionContext(
        images(1, 3, H, W),
        torch.tensor([0.5]),
        torch.tensor([1]),
        3,
        False,
        reduce_here(evidence),
    )
    ((_, rows),) = Top1().attention_weights(context)
    assert rows.partner.tolist() == [[1, *[0] * (H * W - 1)]]
