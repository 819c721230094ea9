"""What is said of the error holds, whatever was left out and however parts merge (theory §2.6)."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from scoremachines.theory.bounds import Bounds
from scoremachines.theory.posterior import Posterior


def of(log_weight: Tensor, values: Tensor, kept: Tensor, more: Tensor) -> Posterior:
    """Return the posterior of some sources, and bounds on what the others may weigh.

    Args:
        log_weight: of all, `[n, 2, 5, 7]`.
        values: of all, `[n, 2, 3, 5, 7]`.
        kept: which are evaluated, `[n, 2, 5, 7]`.
        more: how far the bound is above the weight of the others, nats, `[2, 5, 7]`.
    """
    evaluated = log_weight.where(kept, -torch.inf)
    share = torch.nan_to_num(evaluated.softmax(0))
    exact = Posterior(evaluated.logsumexp(0), (share[:, :, None] * values).sum(0))
    rest = log_weight.where(~kept, -torch.inf).logsumexp(0) + more
    return replace(exact, bounds=replace(Bounds.none(rest), log_rest=rest))


@given(
    st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 5.0, 300.0]), st.sampled_from([0.1, 0.5, 1])
)
def test_the_bound_holds_for_parts_and_the_whole(seed: int, spread: float, share: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    shape = (9, 2, 5, 7)
    log_weight = torch.randn(shape, generator=draw, dtype=torch.float64) * spread
    values = torch.rand(9, 2, 3, 5, 7, generator=draw, dtype=torch.float64) * 2 - 1
    if share == 0.5:  # all as far apart as they can be
        values = values.sign()
    kept = torch.rand(shape, generator=draw) < share
    kept[0] = kept[4] = True  # something of each part
    more = torch.rand(shape[1:], generator=draw, dtype=torch.float64) * 0.01
    everything = torch.ones_like(kept)
    parts, exact = [], []
    for some in (slice(0, 4), slice(4, 9)):
        parts.append(of(log_weight[some], values[some], kept[some], more))
        exact.append(of(log_weight[some], values[some], everything[some], more))
    pairs = [*zip(parts, exact, strict=True), (parts[0].merge(parts[1]), exact[0].merge(exact[1]))]
    pairs.append((parts[1].merge(parts[0]), pairs[-1][1]))
    for found, known in pairs:
        error = (found.mean - known.mean).abs().amax(1)
        assert (error <= found.error_bound + 1e-12).all()
        most = torch.logaddexp(found.log_weight, found.bounds.log_rest)
        assert (found.log_weight <= known.log_weight + 1e-9).all()
        assert (known.log_weight <= most + 1e-9).all()
        left_out = found.bounds.share_left_out(found.log_weight)
        torch.testing.assert_close(left_out, (found.bounds.log_rest - most).exp())
        assert not known.error_bound.any()
    whole, other = pairs[2][0].bounds, pairs[3][0].bounds
    torch.testing.assert_close(whole.log_rest, other.log_rest, rtol=1e-14, atol=0)


def test_an_exact_part_has_bounds_like_any_other() -> None:
    """Those without bounds, nothing at all, and other log-weights change no bound."""
    draw = torch.Generator().manual_seed(0)
    log_weight = torch.randn(6, 2, 5, 7, generator=draw, dtype=torch.float64)
    values = torch.rand(6, 2, 3, 5, 7, generator=draw, dtype=torch.float64) * 2 - 1
    kept = torch.arange(6).view(6, 1, 1, 1).expand(6, 2, 5, 7) % 2 == 0
    some = of(log_weight, values, kept, torch.zeros(2, 5, 7, dtype=torch.float64))
    plain = replace(some, bounds=None)
    assert not plain.error_bound.any()
    assert Posterior.cat([plain, plain]).bounds is None
    both = Posterior.cat([plain, some])
    torch.testing.assert_close(both.at(slice(2, 4)).error_bound, some.error_bound)
    assert not both.at(torch.tensor([0, 1])).error_bound.any()
    merged = Posterior.empty(some.mean).merge(some)
    torch.testing.assert_close(merged.error_bound, some.error_bound)
    moved = some.shifted(torch.full((2, 5, 7), -30.0, dtype=torch.float64))
    torch.testing.assert_close(moved.error_bound, some.error_bound)
    half = plain.merge(some)
    torch.testing.assert_close(
        half.bounds.share_left_out(half.log_weight),
        torch.sigmoid(some.bounds.log_rest - half.log_weight),
    )
