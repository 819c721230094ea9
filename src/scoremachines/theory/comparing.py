"""Whether two answers are the same, up to rounding and to what was left out (theory §2.6)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.theory.bounds import Bounds
from scoremachines.theory.posterior import Posterior

__all__ = ["check_close", "check_same_posterior", "check_same_sources"]


def check_close(
    found: Tensor, known: Tensor, tolerance: float, text: str, slack: Tensor | float = 0.0
) -> None:
    """Raise unless `max |found − known| − slack ≤ tolerance`.

    Args:
        found: any shape.
        known: the same shape.
        tolerance: largest difference allowed.
        text: the case, for the error.
        slack: what is allowed besides, elementwise.

    Raises:
        AssertionError: they differ by more.
    """
    worst = float(((found.double() - known.double()).abs() - slack).max())
    if not worst <= tolerance:
        raise AssertionError(f"{text}: off by {worst:.3g}, more than {tolerance:g}")


def check_same_posterior(found: Posterior, known: Posterior, tolerance: float, text: str) -> None:
    """Raise unless two posteriors differ by rounding and by their bounds alone (theory §2.6).

    Args:
        found: a posterior.
        known: another of the same noisy images.
        tolerance: largest difference of the mean, and of log-weights relative to 1 + |log Z|.
        text: the case, for the error.

    Raises:
        AssertionError: they differ by more.
    """
    bound = found.error_bound + known.error_bound
    check_close(found.mean, known.mean, tolerance, f"{text}: mean", bound[:, None])
    (share, missing), (known_share, known_missing) = _left_out(found), _left_out(known)
    scale, what = 1 + known.log_weight.abs(), f"{text}: log-weight"
    slack = (missing + known_missing) / scale
    check_close(found.log_weight / scale, known.log_weight / scale, tolerance, what, slack)
    if found.entropy is not None and known.entropy is not None:
        slack = torch.where(share + known_share > 0, torch.inf, 0.0)  # no bound is stated for it
        check_close(found.entropy, known.entropy, 10 * tolerance, f"{text}: entropy", slack)


def _left_out(posterior: Posterior) -> tuple[Tensor, Tensor]:
    """Return the share left out, and how far off that, and chance, may leave the log-weight."""
    bounds = posterior.bounds or Bounds.none(posterior.log_weight)
    share = bounds.share_left_out(posterior.log_weight)
    return share, bounds.log_error - torch.log1p(-share)


def check_same_sources(found: Posterior, known: Posterior, text: str) -> None:
    """Raise unless the best sources are the same in order, but for weights equal to rounding.

    Args:
        found: a posterior with sources.
        known: another of the same noisy images.
        text: the case, for the error.

    Raises:
        AssertionError: they differ.
    """
    assert found.sources is not None
    assert known.sources is not None
    slack = _left_out(found)[0][:, None]
    check_close(found.weights, known.weights, 1e-6, f"{text}: weights of the sources", slack)
    gaps = known.sources.log_weight.diff(dim=1).abs()
    clear = torch.cat([gaps, gaps[:, -1:]], 1).amin(1) > 1e-6
    for field in ("image", "position"):
        differ = (getattr(found.sources, field) != getattr(known.sources, field)).any(1)
        if bool((differ & clear).any()):
            raise AssertionError(f"{text}: another {field} among the best sources")
