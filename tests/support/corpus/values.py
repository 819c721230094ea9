"""Values that nobody should pass, each made anew by a function."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["VALUES", "damaged_tensors"]


def _endless() -> list[Any]:
    values: list[Any] = [1]
    values.append(values)
    return values


class _Liar:
    """Has a length and items, and gives neither."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: object) -> object:
        raise RuntimeError("there is no such item")


class _Frame:
    """Stands for a data frame: columns by name, an array on demand, no order of axes."""

    shape = (3, 4)
    columns = ("a", "b")

    def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
        return np.array([["x", 1.5], [None, "y"]], dtype=object)

    def __getitem__(self, column: object) -> object:
        raise KeyError(column)


def _sparse() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.eye(3).to_sparse()


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "empty text": str,
    "text": lambda: "nonsense",
    "number as text": lambda: "3",
    "long text": lambda: "x" * 100_000,
    "control characters": lambda: "\x1b[31m\r\n\x00",
    "half a surrogate": lambda: "\udcff",
    "bytes": lambda: b"\xff\xfe",
    "object": object,
    "class": lambda: int,
    "function": lambda: lambda *_: None,
    "module": lambda: warnings,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus one": lambda: -1,
    "minus infinity": lambda: -float("inf"),
    "10^20": lambda: 10**20,
    "10^5000": lambda: 10**5000,
    "1e308": lambda: 1e308,
    "a half": lambda: 0.5,
    "complex": lambda: 1j,
    "true": lambda: True,
    "decimal": lambda: Decimal("NaN"),
    "fraction": lambda: Fraction(1, 3),
    "empty list": list,
    "list of None": lambda: [None],
    "list of texts": lambda: ["a", "b"],
    "list of numbers": lambda: [1, -2],
    "list of NaN": lambda: [float("nan")] * 2,
    "ragged list": lambda: [[1, 2], [3]],
    "recursive list": _endless,
    "empty tuple": tuple,
    "dictionary": lambda: {"a": 1},
    "dictionary of numbers": lambda: {0.5: 3, "x": None},
    "set": lambda: {1, 2},
    "range": lambda: range(3),
    "generator": lambda: (number for number in range(3)),
    "liar": _Liar,
    "frame": _Frame,
    "path to nowhere": lambda: Path("/nowhere/at/all"),
    "this folder": lambda: Path(),
    "empty tensor": lambda: torch.zeros(0),
    "scalar tensor": lambda: torch.tensor(2.5),
    "tensor of another shape": lambda: torch.zeros(2, 3),
    "tensor of many axes": lambda: torch.zeros(1, 1, 1, 1, 1, 2),
    "bool tensor": lambda: torch.ones(2, dtype=torch.bool),
    "complex tensor": lambda: torch.zeros(2, 3, dtype=torch.complex64),
    "sparse tensor": _sparse,
    "meta tensor": lambda: torch.zeros(2, 1, 6, 8, device="meta"),
    "array of objects": lambda: np.array([None, object()], dtype=object),
    "array of texts": lambda: np.array(["a", "b"]),
    "structured array": lambda: np.zeros(2, dtype=[("a", int), ("b", float)]),
    "array of dates": lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
    "empty array": lambda: np.zeros((0, 3)),
    "network": lambda: torch.nn.Linear(2, 3),
    "kind of number": lambda: torch.float16,
}


def damaged_tensors(good: Tensor) -> dict[str, Callable[[], Any]]:
    """Return tensors nearly like a good one, each with one thing wrong."""
    made: dict[str, Callable[[], Any]] = {
        "as bool": lambda: good.bool(),
        "as complex": lambda: good.to(torch.complex64),
        "as int64": lambda: good.to(torch.int64),
        "as half": lambda: good.to(torch.float16),
        "as meta": lambda: good.to("meta"),
        "as sparse": lambda: good.to_sparse() if good.ndim else good,
        "as array": lambda: good.numpy(),
        "as list": lambda: good.tolist(),
        "one axis more": lambda: good[None],
        "one axis less": lambda: good[0] if good.ndim and len(good) else good,
        "turned": lambda: good.transpose(0, -1) if good.ndim else good,
        "empty": lambda: good[:0] if good.ndim else good,
        "longer": lambda: torch.cat([good, good]) if good.ndim else good,
    }
    if good.is_floating_point():
        made |= {
            "NaN": lambda: torch.full_like(good, torch.nan),
            "infinite": lambda: torch.full_like(good, torch.inf),
            "huge": lambda: torch.full_like(good, 1e38),
        }
    else:
        made |= {"negative": lambda: good.long() - 10**6, "absurd": lambda: good.long() + 10**12}
    return made
