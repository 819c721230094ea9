"""Arrays and tensors: layout, range, limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from scoremachines.data.formats.arrays import from_array
from scoremachines.errors import InputError
from support.pictures import COLOUR, GREY, H, N, W


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, np.ndarray.tolist])
def test_layouts_are_recognised(convert):
    expected = torch.from_numpy(COLOUR).permute(0, 3, 1, 2)
    options = {} if convert is not np.ndarray.tolist else {"limits": (0, 255)}
    last = from_array(convert(COLOUR), **options)
    first = from_array(convert(COLOUR.transpose(0, 3, 1, 2).copy()), **options)
    grey = from_array(convert(GREY), **options)
    assert torch.equal(last.pixels, first.pixels)
    assert torch.equal(grey.pixels[:, 0], last.pixels[:, 0])
    torch.testing.assert_close(last.images, expected / 127.5 - 1)


@pytest.mark.parametrize("shape", [(11, 3, 5, 4), (11, 6, 5, 2), (5, 7, 3), (7, 5, 4)])
def test_ambiguous_shapes_need_a_layout(shape):
    with pytest.raises(InputError, match=r"images=\[.*layout="):
        from_array(np.zeros(shape, np.uint8))


def test_a_layout_settles_the_shape():
    pixels = np.zeros((11, 3, 5, 4), np.uint8)
    assert from_array(pixels, layout="NCHW").shape == (3, 5, 4)
    assert from_array(pixels, layout="NHWC").shape == (4, 3, 5)
    assert from_array(pixels[..., 0], layout="NHW").shape == (1, 3, 5)
    assert from_array(np.zeros((11, 2, 5, 7), np.uint8), layout="NCHW").shape[0] == 2
    with pytest.raises(InputError, match=r"layout='NHW' is not accepted. Accepted: 4 letters"):
        from_array(pixels, layout="NHW")
    with pytest.raises(InputError, match="layout='HWC'"):
        from_array(pixels, layout="HWC")


@pytest.mark.parametrize(
    "array",
    [
        COLOUR[:, ::-1],
        COLOUR[::2],
        np.asfortranarray(COLOUR),
        np.broadcast_to(COLOUR[0], COLOUR.shape),
        COLOUR.view(),
    ],
)
def test_arrays_of_any_memory_layout_are_read(array):
    array = array.view()
    array.flags.writeable = False
    data = from_array(array)
    assert np.array_equal(data.pixels.permute(0, 2, 3, 1).numpy(), array)


def test_big_endian_and_half_precision_numbers_are_read():
    values = (GREY / 127.5 - 1).astype(np.float32)
    swapped = from_array(values.astype(">f4"))
    assert np.array_equal(swapped.pixels[:, 0].numpy(), values)
    half = from_array(values.astype(np.float16))
    assert half.pixels.dtype == torch.float32
    assert np.array_equal(half.pixels[:, 0].numpy(), values.astype(np.float16))


def test_tensors_with_gradients_are_read():
    pixels = torch.linspace(-1, 1, N * H * W).view(N, 1, H, W).requires_grad_()
    assert not from_array(pixels).pixels.requires_grad


@given(
    npst.arrays(np.float64, (3, 1, 2, 5), elements=st.floats(-1e6, 1e6)),
    st.floats(0, 10),
    st.floats(1e-3, 10),
)
def test_limits_map_linearly_and_leave_the_array_alone(array, below, above):
    before = array.copy()
    black, white = array.min() - below, array.max() + above
    pixels = from_array(array, limits=(black, white)).pixels
    assert np.array_equal(array, before)
    assert pixels.dtype == torch.float64
    back = (pixels.numpy() + 1) / 2 * (white - black) + black
    np.testing.assert_allclose(back, array, atol=1e-9 * (1 + white - black + abs(black)))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float32, np.uint8])
def test_limits_become_minus_one_and_one(dtype):
    array = np.zeros((2, 5, 7), dtype)
    array[1] = 1
    data = from_array(array, limits=(0, 1))
    assert data.pixels.dtype == torch.float32
    assert data.pixels[0].unique().tolist() == [-1]
    assert data.pixels[1].unique().tolist() == [1]


def test_bytes_stay_bytes():
    for limits in (None, (0, 255)):
        data = from_array(GREY, limits=limits)
        assert data.pixels.dtype == torch.uint8
        assert data.pixels.data_ptr() == GREY.ctypes.data


def with_one(value: float) -> np.ndarray:
    values = (GREY / 127.5 - 1).astype(np.float32)
    values[3, 2, 1] = value
    return values


@pytest.mark.parametrize(
    ("array", "options", "why"),
    [
        (with_one(np.nan), {}, r"limits=None: values run from nan to nan.*none of them NaN"),
        (with_one(np.nan), {"limits": (-1, 1)}, "values run from nan"),
        (with_one(np.inf), {}, "values run from -1 to inf"),
        (with_one(1.25), {}, r"values run from -1 to 1.25. Accepted:.*limits=\(-1.0, 1.25\)"),
        (with_one(1.25), {"limits": (-1, 1.2)}, r"limits=\(-1, 1.2\)"),
        (abs(with_one(0)), {}, r"limits=\(0, 1\) if 0 is black"),
        (GREY.astype(np.int64), {}, r"images='int64': values.*limits=\(0, 255\)"),
        (GREY, {"limits": (5, 3)}, "not in rising order"),
        (GREY, {"limits": (0, np.inf)}, "not in rising order"),
        (GREY, {"limits": (0, 1, 2)}, "limits="),
        (GREY, {"limits": "ab"}, "limits="),
        (GREY.astype(complex), {}, "images="),
        (GREY.astype(object), {}, "images='ndarray'"),
        (np.array(["a", "b"]), {}, "images='ndarray'"),
        ([[1, 2], [3]], {}, "images='list'"),
        (None, {}, "images='NoneType'"),
        (np.zeros((0, 5, 7), np.uint8), {}, r"images=\[0, 5, 7\]"),
        (np.zeros((5, 7), np.uint8), {}, r"images=\[5, 7\] .*\[N, H, W\]"),
        (np.zeros((2, 2, 2, 5, 7), np.uint8), {}, r"images=\[2, 2, 2, 5, 7\]"),
        (GREY, {"labels": np.zeros(N)}, "labels=.*no whole numbers"),
        (GREY, {"labels": np.zeros(N + 1, int)}, "labels="),
        (GREY, {"labels": ["a"] * N}, "labels='list'"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(array, options, why):
    with pytest.raises(InputError, match=why):
        from_array(array, **options)


def test_real_numbers_from_zero_to_one_are_read_when_their_limits_are_given():
    values = with_one(0) / 2 + 0.5
    plain = from_array(values, limits=(-1, 1)).pixels
    assert np.array_equal(plain[:, 0].numpy(), values)
    spread_out = from_array(values, limits=(0, 1)).pixels
    np.testing.assert_allclose(spread_out[:, 0].numpy(), 2 * values - 1, atol=1e-7)


def test_labels_of_an_array_may_be_a_column():
    labels = (np.arange(N) % 2)[:, None].astype(np.uint8)
    data = from_array(GREY, labels, ("a", "b"), name="columns")
    assert data.labels.tolist() == (np.arange(N) % 2).tolist()
    assert (data.name, data.classes) == ("columns", ("a", "b"))
