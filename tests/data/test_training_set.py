"""The training set itself: conversion, selection, labels, fingerprint, size."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from scoremachines.data import TrainingSet
from scoremachines.errors import InputError
from support.pictures import C, H, N, W, a_set


def labelled() -> TrainingSet:
    names = [f"{position}.png" for position in range(N)]
    return a_set(labels=torch.arange(N) % 3, classes=("red", "green", "blue"), names=names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_byte_becomes_its_value_in_minus_one_to_one(dtype):
    data = TrainingSet(torch.arange(256, dtype=torch.uint8).view(1, 1, 8, 32))
    values = data.block(slice(None), dtype).flatten()
    exact = [(2 * byte - 255) / 255 for byte in range(256)]
    tolerance = torch.finfo(dtype).eps
    torch.testing.assert_close(values.double(), torch.tensor(exact).double(), atol=2e-7, rtol=0)
    formula = torch.arange(256, dtype=dtype) / 127.5 - 1
    torch.testing.assert_close(values, formula, atol=tolerance, rtol=0)
    assert values[0] == -1
    assert values[-1] == 1
    assert values.dtype == dtype


def test_a_block_is_the_same_however_it_is_selected():
    data = a_set()
    positions = torch.tensor([2, 3, 4, 5])
    mask = torch.zeros(N, dtype=torch.bool)
    mask[positions] = True
    block = data.block(slice(2, 6))
    assert block.shape == (4, C, H, W)
    assert torch.equal(block, data.block(positions))
    assert torch.equal(block, data.block(mask))
    assert torch.equal(block, data.images[2:6])
    assert torch.equal(data.block(torch.tensor([7, 0])), data.images[[7, 0]])


def test_real_pixels_are_given_as_they_are():
    data = a_set(torch.float64)
    assert torch.equal(data.block(slice(1, 3), torch.float64), data.pixels[1:3])
    assert data.images.dtype == torch.float32


def test_a_block_is_contiguous_where_the_pixels_are_not():
    pixels = torch.zeros(N, H, W, C, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert TrainingSet(pixels).block(slice(0, 4)).is_contiguous()
    assert TrainingSet(pixels.float()).block(slice(0, 4)).is_contiguous()


def test_a_block_moves_to_the_device_that_is_given():
    block = a_set().block(slice(0, 4), device="meta")
    assert block.device.type == "meta"
    assert block.shape == (4, C, H, W)


def test_length_shape_and_repr_show_what_the_set_holds():
    data = labelled()
    assert len(data) == N
    assert data.shape == (C, H, W)
    assert repr(data) == "TrainingSet('array', N=11, 3x5x7, uint8, 3 classes)"
    assert repr(a_set(torch.float32, name="x")) == "TrainingSet('x', N=11, 3x5x7, float32)"


@pytest.mark.parametrize(
    ("index", "positions"),
    [
        (slice(1, 9, 3), [1, 4, 7]),
        ([8, 2], [8, 2]),
        (torch.tensor([8, 2]), [8, 2]),
        (torch.arange(N) > 8, [9, 10]),
        ([False] * 9 + [True] * 2, [9, 10]),
    ],
)
def test_a_subset_keeps_labels_names_classes_and_judge(index, positions):
    data = labelled()
    data.judge = object()
    few = data.subset(index)
    assert torch.equal(few.pixels, data.pixels[positions])
    assert few.labels.tolist() == [position % 3 for position in positions]
    assert few.names == tuple(f"{position}.png" for position in positions)
    assert few.classes == data.classes
    assert few.judge is data.judge


@pytest.mark.parametrize(
    "index",
    [[N], [-N - 1], torch.tensor([0, 10**9]), [0.5], torch.ones(N + 1, dtype=torch.bool), "ab", 3],
)
def test_a_subset_of_images_that_are_not_there_is_refused(index):
    with pytest.raises(InputError, match=rf"index=.*whole numbers from 0 to {N - 1}"):
        labelled().subset(index)


@pytest.mark.parametrize("index", [[], slice(3, 3), torch.zeros(N, dtype=torch.bool)])
def test_an_empty_subset_is_refused(index):
    with pytest.raises(InputError, match="there is no image"):
        labelled().subset(index)


def test_a_class_is_found_by_name_or_number():
    data = labelled()
    for which in ("green", 1, "1"):
        assert data.label(which) == 1
        assert data.of_class(which).tolist() == [1, 4, 7, 10]
    assert a_set(labels=torch.arange(N)).of_class("10").tolist() == [10]


def test_a_name_wins_over_a_number():
    data = a_set(labels=torch.arange(N) % 2, classes=("1", "0"))
    assert data.label("1") == 0
    assert data.label(1) == 1


@pytest.mark.parametrize("which", ["grey", 3, -1, "-1", True, "²", "1.0"])
def test_an_unknown_class_is_refused(which):
    with pytest.raises(InputError, match=r"label=.*red, green, blue; or 0 to 2"):
        labelled().of_class(which)


def test_a_class_needs_labels_and_images():
    with pytest.raises(InputError, match="has none"):
        a_set().label(0)
    with pytest.raises(InputError, match="no image is of this class"):
        labelled().subset([0, 1]).of_class("blue")


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.zeros((N, C, H, W), np.uint8), "ndarray"),
        (torch.zeros(N, H, W), r"\[11, 5, 7\]"),
        (torch.zeros(N, C, H, W, dtype=torch.int64), "int64"),
        (torch.zeros(N, C, H, W, dtype=torch.float16), "float16"),
        (torch.zeros(0, C, H, W), "no image"),
        (torch.zeros(N, C, 0, W), "no image"),
        (torch.full((N, C, H, W), 1.5), "values run from 1.5 to 1.5"),
        (torch.full((N, C, H, W), -torch.inf), "values run from -inf"),
    ],
)
def test_pixels_that_are_no_images_are_refused(pixels, why):
    with pytest.raises(InputError, match=f"pixels=.*{why}"):
        TrainingSet(pixels)


def test_one_nan_among_many_values_is_found():
    pixels = torch.zeros(1500, 1, 2, 3)
    pixels[1400, 0, 1, 2] = torch.nan
    with pytest.raises(InputError, match="values run from nan to nan"):
        TrainingSet(pixels)


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([0] * N, "list"),
        (torch.zeros(N), "no whole numbers"),
        (torch.zeros(N, dtype=torch.bool), "no whole numbers"),
        (torch.zeros(N + 1, dtype=torch.int64), r"int64 \[12\]"),
        (torch.zeros(N, 2, dtype=torch.int64), r"int64 \[11, 2\]"),
        (torch.arange(N), "run from 0 to 10"),
        (torch.arange(N) - 1, "run from -1 to 9"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, why):
    with pytest.raises(InputError, match=f"labels=.*{why}"):
        a_set(labels=labels, classes=("a", "b"))


def test_names_and_classes_must_fit():
    with pytest.raises(InputError, match=r"names=.*there are 2\. Accepted: 11 names"):
        a_set(names=["a", "b"])
    with pytest.raises(InputError, match="together with labels"):
        a_set(classes=["a"])


def test_small_integer_labels_become_int64():
    assert a_set(labels=torch.zeros(N, dtype=torch.uint8)).labels.dtype == torch.int64


def test_the_fingerprint_depends_on_content_alone():
    data = labelled()
    same = TrainingSet(
        data.pixels.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), data.labels, name="other"
    )
    assert len(data.fingerprint()) == 64
    assert data.fingerprint() == same.fingerprint() == data.fingerprint()


def test_the_fingerprint_changes_with_every_part_of_the_content():
    data = labelled()
    pixels = data.pixels.clone()
    pixels[-1, -1, -1, -1] ^= 1
    others = [
        data,
        a_set(),
        TrainingSet(pixels, data.labels),
        TrainingSet(data.pixels, data.labels.flip(0)),
        TrainingSet(data.pixels.transpose(2, 3).contiguous(), data.labels),
        TrainingSet(data.pixels.view(N, C, W, H), data.labels),
        TrainingSet(data.images, data.labels),
        data.subset(slice(0, 10)),
    ]
    assert len({other.fingerprint() for other in others}) == len(others)


def test_the_fingerprint_of_a_long_set_covers_all_of_it():
    pixels = torch.zeros(2500, 1, 2, 3, dtype=torch.uint8)
    before = TrainingSet(pixels).fingerprint()
    pixels[2400] = 1
    assert TrainingSet(pixels).fingerprint() != before


def test_resizing_bytes_keeps_labels_and_names():
    data = labelled()
    small = data.resized((2, 3), "stretch")
    assert small.shape == (C, 2, 3)
    assert small.pixels.dtype == torch.uint8
    assert small.labels.tolist() == data.labels.tolist()
    assert small.names == data.names
    flat = TrainingSet(torch.full((2, 1, 6, 4), 77, dtype=torch.uint8)).resized(3)
    assert flat.pixels.unique().tolist() == [77]


def test_resizing_real_values_stays_within_range():
    pixels = torch.ones(2, 2, 9, 12)
    pixels[:, :, :, 6:] = -1
    wide = TrainingSet(pixels).resized((18, 24))
    assert wide.pixels.dtype == torch.float32
    assert wide.pixels.min() == -1
    assert wide.pixels.max() == 1
    halves = TrainingSet(pixels).resized((3, 4)).images
    assert torch.equal(halves[..., 0], torch.ones(2, 2, 3))
    assert torch.equal(halves[..., 3], -torch.ones(2, 2, 3))


def test_tiles_cut_without_scaling():
    data = labelled().resized((2, 3), "tiles")
    whole = labelled()
    assert len(data) == N * 2 * 2
    assert data.labels.tolist() == [label for label in whole.labels.tolist() for _ in range(4)]
    assert data.names[:5] == ("0.png@0,0", "0.png@0,3", "0.png@2,0", "0.png@2,3", "1.png@0,0")
    assert torch.equal(data.pixels[3], whole.pixels[0, :, 2:4, 3:6])


def test_the_package_loads_torch_only_when_it_is_used():
    program = (
        "import sys, scoremachines.data as data\n"
        "import scoremachines.data.synthetic.shapes_config\n"
        "assert 'torch' not in sys.modules\n"
        "data.TrainingSet, data.open_source\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_has_no_other_names():
    import scoremachines.data as package

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
