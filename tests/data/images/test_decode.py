"""Odd images: what has an obvious meaning is read, and the rest is refused by name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from scoremachines.data.formats.folder import from_folder
from scoremachines.errors import InputError
from support.pictures import ONE_COLOUR, ONE_GREY, H, W, read

FRAMES = [Image.fromarray(np.full((H, W, 3), value, np.uint8)) for value in (10, 250)]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_frames_the_first_is_used(tmp_path, suffix):
    lossless = {"lossless": True} if suffix == "webp" else {}
    for name in "ab":
        path = tmp_path / f"{name}.{suffix}"
        FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:], **lossless)
    with pytest.warns(UserWarning, match="2 images hold several frames: only the first") as seen:
        data = from_folder(tmp_path)
    assert len(seen) == 1
    assert data.pixels.unique().tolist() == [10]


def test_a_photograph_with_a_preview_is_one_photograph(tmp_path):
    FRAMES[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=FRAMES[1:])
    assert abs(read(tmp_path).astype(int) - 10).max() <= 2


def test_a_still_image_in_an_animated_format_is_no_matter(tmp_path):
    FRAMES[0].save(tmp_path / "a.gif")
    assert np.unique(read(tmp_path)).tolist() == [10]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_grey_of_16_bits_is_scaled(tmp_path, suffix, dtype):
    values = np.array([[0, 257, 32768], [65535, 65278, 128]], np.uint16)
    Image.fromarray(values.astype(dtype).astype(np.uint16)).save(tmp_path / f"a.{suffix}")
    assert read(tmp_path).tolist() == [[0, 1, 128], [255, 254, 0]]


def test_16_bits_of_low_contrast_are_not_stretched(tmp_path):
    Image.fromarray(np.full((H, W), 257 * 9, np.uint16)).save(tmp_path / "a.tif")
    assert np.unique(read(tmp_path)).tolist() == [9]


def test_big_endian_tiffs_of_16_bits_are_scaled(tmp_path):
    image = Image.frombytes("I;16B", (2, 1), b"\x01\x01\xff\xff")
    image.save(tmp_path / "a.tif")
    assert read(tmp_path).tolist() == [[1, 255]]


def test_whole_numbers_of_32_bits_must_fit_into_16(tmp_path):
    Image.fromarray(np.array([[0, 65535]], np.int32)).save(tmp_path / "a.tif")
    assert read(tmp_path).tolist() == [[0, 255]]
    Image.fromarray(np.array([[-1, 70000]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"image='a.tif': its grey values run from -1 to 70000"):
        from_folder(tmp_path)


def test_real_numbers_must_lie_between_black_and_white(tmp_path):
    Image.fromarray(np.array([[0, 0.2, 1]], np.float32)).save(tmp_path / "a.tif")
    assert read(tmp_path).tolist() == [[0, 51, 255]]
    for bad in (1.5, -0.5, np.nan, np.inf):
        Image.fromarray(np.array([[0, bad]], np.float32)).save(tmp_path / "a.tif")
        with pytest.raises(InputError, match=r"image='a\.tif': its grey values run from"):
            from_folder(tmp_path)


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(ONE_GREY > 100).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path), 255 * (ONE_GREY > 100))


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_becomes_colour(tmp_path, suffix):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 0] = 255
    Image.fromarray(inks, "CMYK").save(tmp_path / f"a.{suffix}")
    image = read(tmp_path).astype(int)
    assert image.shape == (16, 16, 3)
    assert abs(image - [0, 255, 255]).max() <= 4


def test_a_palette_becomes_colour(tmp_path):
    few = ONE_COLOUR // 128 * 128
    Image.fromarray(few).quantize(8).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path), few)


def test_a_transparent_colour_of_a_palette_becomes_alpha(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    for suffix in ("png", "gif"):
        folder = tmp_path / suffix
        folder.mkdir()
        image.save(folder / f"a.{suffix}", transparency=1)
        assert read(folder)[0, 0].tolist() == [10, 20, 30, 255]
        assert read(folder)[0, 1, 3] == 0


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept_where_it_matters(tmp_path, mode):
    image = Image.fromarray(ONE_GREY).convert(mode)
    image.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path, channels=1), ONE_GREY)
    assert read(tmp_path).ndim == (2 if mode == "LA" else 3)
    image.putalpha(Image.fromarray(ONE_GREY))
    image.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path), np.dstack([ONE_GREY] * 4))


def test_hidden_colours_do_not_bleed_when_resized(tmp_path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, :4] = (200, 100, 50, 255)
    image[:, 4:] = (0, 255, 0, 0)
    Image.fromarray(image).save(tmp_path / "a.png")
    small = read(tmp_path, size=3)
    seen = small[small[..., 3] > 30]
    assert len(seen) > 3
    assert abs(seen[:, :3].astype(int) - [200, 100, 50]).max() <= 12


TURNED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ONE_COLOUR).save(tmp_path / f"a.{suffix}", exif=exif)
    assert np.array_equal(read(tmp_path), TURNED[orientation](ONE_COLOUR))


def test_orientation_holds_for_grey_of_16_bits_and_large_jpegs(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("deep", "large"):
        (tmp_path / name).mkdir()
    Image.fromarray(ONE_GREY.astype(np.uint16) * 257).save(tmp_path / "deep" / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "deep"), np.rot90(ONE_GREY, -1))
    halves = np.zeros((200, 400), np.uint8)
    halves[:, 200:] = 255
    Image.fromarray(halves).save(tmp_path / "large" / "a.jpg", exif=exif)
    small = read(tmp_path / "large", size=(8, 4)).astype(int)
    assert small[:3].max() < 20
    assert small[5:].min() > 235


def test_a_damaged_exif_block_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(ONE_GREY).save(buffer, "JPEG", exif=exif)
    damaged = buffer.getvalue().replace(b"Exif\0\0MM\0*", b"Exif\0\0XXXX")
    assert damaged != buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(damaged)
    assert read(tmp_path).shape == (H, W)
