"""Pictures of images and of their sources: no pixel is lost on the way."""

from __future__ import annotations

import io

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scoremachines.io.pictures import (
    grid,
    mosaic,
    source_colours,
    source_map,
    to_bytes,
    to_data_uri,
)
from support.documents import decoded
from support.images import noise


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([("L", 1), ("RGB", 3), ("RGBA", 4)]),
    st.integers(1, 23),
    st.integers(1, 29),
    st.integers(1, 256),
    st.integers(0, 99),
)
def test_data_uris_keep_every_pixel(
    kind: tuple[str, int], height: int, width: int, levels: int, seed: int
) -> None:
    mode, channels = kind
    random = np.random.default_rng(seed)
    pixels = random.integers(levels, size=(height, width, channels), dtype=np.uint8)
    pixels = pixels[..., 0] if channels == 1 else pixels
    uri = to_data_uri(Image.fromarray(pixels))
    assert np.array_equal(decoded(uri, mode), pixels)


def test_few_colours_take_fewer_bytes() -> None:
    random = np.random.default_rng(0)
    palette = random.integers(256, size=(3, 3), dtype=np.uint8)
    few = Image.fromarray(palette[random.integers(3, size=(31, 37))])
    whole = io.BytesIO()
    few.save(whole, format="PNG", optimize=True)
    assert len(to_data_uri(few)) < len(whole.getvalue())


def test_colours_of_training_images_differ_and_none_is_grey() -> None:
    colours = source_colours(torch.arange(-1, 60))
    assert colours[0].tolist() == [128, 128, 128]
    apart = np.abs(colours[:, None].astype(int) - colours[None]).sum(-1)
    assert (apart[np.triu_indices(61, 1)] > 0).all()
    assert (np.ptp(colours[1:].astype(int), axis=1) > 30).all()
    assert (apart[1:-1, 2:].diagonal() > 60).all()


def test_mosaic_shows_images_by_colour_pieces_by_shade_and_doubt_by_grey() -> None:
    height, width = 5, 7
    here = torch.arange(height * width).view(1, height, width)
    image, sure = torch.full_like(here, 4), torch.ones(1, height, width)
    whole = np.asarray(mosaic(image, here, sure))
    assert whole.shape == (height, width, 3)
    assert len(np.unique(whole.reshape(-1, 3), axis=0)) == 1

    # The right part was drawn from one column further left, across the border: another piece.
    position = here.clone()
    position[..., 3:] -= 1
    pieces = np.asarray(mosaic(image, position, sure))
    assert len(np.unique(pieces[:, :3].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(pieces[:, 3:].reshape(-1, 3), axis=0)) == 1
    assert (pieces[0, 0] != pieces[0, 3]).any()

    # Two sources of one image count together; what lies outside the sources kept is doubt.
    both = np.asarray(
        mosaic(image.repeat(2, 1, 1), here.repeat(2, 1, 1), sure.repeat(2, 1, 1) / 2)
    )
    half = np.asarray(mosaic(image, here, sure / 4))
    assert np.abs(both.astype(int) - 128).sum() > 1.5 * np.abs(half.astype(int) - 128).sum() > 0

    nothing = mosaic(torch.full_like(here, -1), torch.full_like(here, -1), 0 * sure)
    assert np.unique(np.asarray(nothing)).tolist() == [128]


def test_grid_holds_every_image_in_reading_order() -> None:
    images = noise(3, 1, 5, 7)
    sheet = np.asarray(grid(images, columns=2, scale=2).convert("L"))
    assert sheet.shape == (4 + 2 * (10 + 4), 4 + 2 * (14 + 4))
    for image, (top, left) in zip(to_bytes(images), [(4, 4), (4, 22), (18, 4)], strict=True):
        assert np.array_equal(sheet[top : top + 10 : 2, left : left + 14 : 2], image[0].numpy())
    assert (sheet[18:, 22:] == 255).all()


def test_source_map_has_one_colour_for_each_image() -> None:
    index = torch.tensor([[0, 1, 1], [5, -1, 0]])
    picture = np.asarray(source_map(index, scale=2))
    assert picture.shape == (4, 6, 3)
    assert np.array_equal(picture[::2, ::2], source_colours(index))
