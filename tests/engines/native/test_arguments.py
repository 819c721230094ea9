"""The border between Python and C++: whatever is handed over, it raises, and never crashes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from scoremachines.engines.native.engine import native_instructions

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a C++ compiler")

FUZZ = '''
"""Calls every function of the native part with arguments of which some are wrong."""
import sys
import numpy as np
from scoremachines.engines.native import _native
from scoremachines.theory.runs import query_extent, runs

SETS = _native.instruction_sets()
LARGE = (2**31 - 1, 2**31, 2**62, 2**70, -2**31, -1, 0)


def table(axis):
    return np.array([(run.query, run.source, run.length) for run in axis], np.int32)


def question(draw):
    """Return arguments that are as they should be."""
    kind = draw.choice([np.float32, np.float64])
    batch, channels, count = draw.integers(1, 4), draw.integers(1, 5), draw.integers(1, 40)
    height, width = draw.integers(1, 8, 2).tolist()
    window = int(draw.choice([k for k in (1, 3, 5, 7) if k <= min(height, width)]))
    sources = str(draw.choice(["aligned", "valid", "circular", "boundary"]))
    rows, columns = (query_extent(size, sources) + window - 1 for size in (height, width))
    more = int(draw.choice([0, 0, 1, 100]))
    images = draw.integers(0, 256, (count, channels, height, width)).astype(np.uint8)
    if draw.random() < 0.5:
        images = images.astype(kind)
    shape = (batch, count, height, width)
    return {
        "noisy": draw.standard_normal((batch, channels, rows, columns + more)).astype(kind),
        "scale": -draw.random(batch) * 10.0 ** draw.integers(-6, 6),
        "images": images,
        "bias": draw.standard_normal(shape).astype(kind) if draw.random() < 0.5 else None,
        "index": np.arange(count, dtype=np.int64),
        "rows": table(runs(height, window, sources)),
        "columns": table(runs(width, window, sources)),
        "window": window,
        "wrapped": sources == "circular",
        "best": int(draw.integers(0, 5)),
        "depth": float(draw.choice([1e-3, 16.0, 60.0, np.inf])),
        "threads": int(draw.integers(1, 5)),
        "instructions": str(draw.choice([*SETS, ""])),
    }


def whole(draw, first):
    """Return arguments of the functions of whole images."""
    kind = draw.choice([np.float32, np.float64])
    batch, count, size = draw.integers(0, 4), draw.integers(1, 40), draw.integers(1, 50)
    images = draw.integers(0, 256, (count, size)).astype(np.uint8)
    if draw.random() < 0.5:
        images = images.astype(kind)
    length = size if first == "noisy" else count
    return {
        first: draw.standard_normal((batch, length)).astype(kind),
        "images": images,
        "threads": int(draw.integers(1, 5)),
        "instructions": str(draw.choice([*SETS, ""])),
    }


def another_array(draw, array):
    """Return an array that is wrong in one way, or in none that can be seen."""
    way = draw.integers(14)
    if way == 0:
        kinds = [np.float16, np.int32, np.int64, np.uint8, np.float32, bool]
        return array.astype(draw.choice(kinds))
    if way == 1:
        return array.astype(object)
    if way == 2:
        return array[..., ::-1]
    if way == 3:
        return np.asfortranarray(array)
    if way == 4:  # one axis longer or shorter
        shape = list(array.shape)
        shape[int(draw.integers(len(shape)))] += int(draw.choice([-1, 1, 5]))
        return np.ones([max(0, size) for size in shape], array.dtype)
    if way == 5:
        return array[None] if draw.random() < 0.5 else array[0]
    if way == 6:  # off by one byte
        flat = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
        return flat.reshape(array.shape)
    if way == 7:
        return array.astype(array.dtype.newbyteorder())
    if way == 8:  # every element the same place in memory
        return np.broadcast_to(array.ravel()[:1], array.shape)
    if way == 9:
        return np.zeros((0, *array.shape[1:]), array.dtype)
    if way == 10:
        return array.tolist()
    if way == 11:
        return array.astype(complex)
    changed = array.copy()
    place = draw.integers(0, changed.size, max(1, changed.size // 8))
    if changed.dtype.kind == "f":
        number = draw.choice([np.nan, np.inf, -np.inf, 1e38, -1e38, 1e300, 1e-300, -0.0])
        with np.errstate(over="ignore"):
            changed.ravel()[place] = changed.dtype.type(number)
    elif changed.size:
        limits = np.iinfo(changed.dtype)
        number = draw.choice([limits.min, limits.max, 0, 1, 2, 3, 100])
        changed.ravel()[place] = number
    return changed


def other_runs(draw, arguments, axis):
    """Return runs in no order, longer, shorter and further apart than any source has them."""
    noisy, images, window = (arguments[name] for name in ("noisy", "images", "window"))
    if not all(isinstance(array, np.ndarray) and array.ndim == 4 for array in (noisy, images)):
        return np.zeros((1, 3), np.int32)
    length = draw.integers(1, images.shape[axis] + 1, 9)
    source = draw.integers(0, images.shape[axis] - length + 1)
    query = draw.integers(0, np.maximum(1, noisy.shape[axis] - length))
    return np.stack([query, source, length], 1).astype(np.int32)


def spoilt(draw, arguments):
    """Return the arguments with one to three of them changed."""
    arguments = dict(arguments)
    for name in draw.choice(list(arguments), draw.integers(1, 4), replace=False):
        value = arguments[name]
        if name in ("rows", "columns") and draw.random() < 0.3:
            arguments[name] = other_runs(draw, arguments, 2 + (name == "columns"))
        elif isinstance(value, np.ndarray) and value.size and draw.random() < 0.85:
            arguments[name] = another_array(draw, value)
        elif name in ("window", "threads", "best") and draw.random() < 0.7:
            arguments[name] = int(LARGE[int(draw.integers(len(LARGE)))])
        elif name in ("rows", "columns"):
            arguments[name] = draw.integers(-3, 12, (3, 3)).astype(np.int32)
        else:
            wrong = [None, "x", -1, 0, 2**70, 1.5, float("nan"), [], {}, object(), np.zeros(3)]
            arguments[name] = wrong[int(draw.integers(len(wrong)))]
    return arguments


def main(seed, rounds):
    draw = np.random.default_rng(seed)
    refused = answered = 0
    for _ in range(rounds):
        window = ["posterior", "sampled", "evidence", "moments", "gradient"]
        name = str(draw.choice([*window, "distances", "average"]))
        if name in window:
            arguments = question(draw)
            if name == "sampled":
                for other in ("bias", "best", "depth"):
                    del arguments[other]
                batch, height, width = (len(arguments["scale"]), *arguments["images"].shape[2:])
                arguments["threshold"] = draw.normal(-9, 20, (batch, height, width))
                arguments["seed"] = int(draw.integers(2**63))
            if name in ("evidence", "moments", "gradient"):
                for other in ("bias", "index", "best"):
                    del arguments[other]
            if name == "gradient":
                batch, images = len(arguments["scale"]), arguments["images"]
                channels, height, width = images.shape[1:]
                kind = arguments["noisy"].dtype
                direction = draw.standard_normal((batch, channels, height, width)).astype(kind)
                arguments["direction"] = direction
            if name == "gradient":
                count = int(draw.choice([1, len(arguments["images"])]))
                for other in ("level", "gain", "offset"):
                    arguments[other] = draw.standard_normal((batch, count, height, width))
        else:
            arguments = whole(draw, "noisy" if name == "distances" else "weights")
        getattr(_native, name)(**arguments)
        try:
            getattr(_native, name)(**spoilt(draw, arguments))
            answered += 1
        except (ValueError, TypeError, MemoryError):
            refused += 1
    print(refused, answered)


main(int(sys.argv[1]), int(sys.argv[2]))
'''


def fuzz(seed: int, rounds: int) -> tuple[int, int]:
    """Return how many calls were refused and answered, in a process that must live to the end."""
    line = [sys.executable, "-X", "faulthandler", "-c", FUZZ, str(seed), str(rounds)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=550)
    assert ended.returncode == 0, ended.stderr[-3000:]
    refused, answered = map(int, ended.stdout.split())
    return refused, answered


def test_wrong_arguments_are_refused_and_never_crash() -> None:
    refused, answered = fuzz(0, 1200)
    assert refused > 400
    assert answered > 40  # some changes are harmless, and some reach the kernels: NaN, other runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "calls"), [(1, 5_000), pytest.param(2, 50_000, marks=pytest.mark.exhaustive)]
)
def test_wrong_arguments_never_crash_in_many_more_calls(seed: int, calls: int) -> None:
    assert sum(fuzz(seed, calls)) == calls


def question() -> dict[str, object]:
    """Return a question of one image of 3 rows and 5 columns, window 3, that can be answered."""
    return {
        "noisy": np.zeros((1, 2, 5, 7), np.float32),
        "scale": np.array([-1.0]),
        "images": np.zeros((4, 2, 3, 5), np.uint8),
        "bias": None,
        "index": np.arange(4),
        "rows": np.array([[0, 0, 3]], np.int32),
        "columns": np.array([[0, 0, 5]], np.int32),
        "window": 3,
        "wrapped": False,
        "best": 1,
        "depth": 20.0,
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("noisy", np.zeros((1, 2, 5, 7), np.int32), "noisy: another type"),
        ("noisy", np.zeros((1, 2, 5, 14), np.float32)[..., ::2], "noisy: must be contiguous"),
        ("noisy", np.zeros((2, 5, 7), np.float32), "noisy: shape"),
        ("noisy", np.zeros(281, np.uint8)[1:].view(np.float32).reshape(1, 2, 5, 7), "aligned"),
        ("scale", np.array([np.nan]), "scale: finite, at most 0"),
        ("scale", np.array([-1e300]), "scale: finite, at most 0"),
        ("scale", np.array([1.0]), "scale: finite, at most 0"),
        ("images", np.zeros((4, 3, 3, 5), np.uint8), "images: shape"),
        ("images", np.zeros((4, 2, 3, 5), np.float64), "images: another type"),
        ("images", np.zeros((0, 2, 3, 5), np.uint8), "images: every axis"),
        ("bias", np.zeros((1, 4, 3, 4), np.float32), "bias: shape"),
        ("bias", [[1.0]], "bias: an array or None"),
        ("index", np.arange(5), "index: shape"),
        ("index", np.array([0, -1, 2, 3]), "index: at least 0"),
        ("index", np.arange(4, dtype=np.int32), "index: another type"),
        ("rows", np.array([[0, 0, 4]], np.int32), "rows: a run reaches outside"),
        ("rows", np.array([[1, 0, 3]], np.int32), "rows: a run reaches outside"),
        ("rows", np.array([[0, -1, 3]], np.int32), "rows: a run reaches outside"),
        ("columns", np.array([[2**31 - 1, 0, 5]], np.int32), "columns: a run reaches outside"),
        ("columns", np.zeros((0, 3), np.int32), "columns: at least one run"),
        ("window", 2, "window: odd"),
        ("window", 5, "window: odd"),
        ("best", -1, "best: from 0"),
        ("depth", float("nan"), "depth: above 0"),
        ("threads", 0, "threads: from 1"),
        ("instructions", "mmx", "instructions: this processor has no mmx"),
    ],
)
def test_each_wrong_argument_is_named(argument: str, value: object, named: str) -> None:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]

    assert len(_native.posterior(**question())) == 6
    with pytest.raises(ValueError, match=named):
        _native.posterior(**(question() | {argument: value}))


def test_runs_far_from_each_other_are_visited_one_by_one() -> None:
    """They are no neighbours that could share memory."""
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]

    far = np.array([[0, 0, 5], [4000, 0, 5], [9000, 0, 5], [2, 0, 5]], np.int32)
    noisy = np.random.default_rng(0).standard_normal((1, 2, 5, 9007)).astype(np.float32)
    asked = question() | {"noisy": noisy, "columns": far, "index": np.arange(4)}
    found = _native.posterior(**asked)[0]
    parts = [_native.posterior(**(asked | {"columns": far[i : i + 1]}))[0] for i in range(4)]
    np.testing.assert_allclose(found, np.logaddexp.reduce(parts), rtol=1e-5)


@pytest.mark.parametrize("value", [None, "x", [1, 2], object(), 3.5])
@pytest.mark.parametrize("argument", ["noisy", "scale", "images", "index", "rows", "columns"])
def test_what_is_no_array_is_refused(argument: str, value: object) -> None:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]

    with pytest.raises(TypeError):
        _native.posterior(**(question() | {argument: value}))
