"""Odd and hostile images: what has an obvious meaning is read, the rest is refused by name."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scoremachines.data.formats.folder import from_folder, from_zip
from scoremachines.errors import InputError

H, W = 5, 7
COLOUR = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
GREY = COLOUR[..., 0].copy()


def read(folder: Path, **options) -> np.ndarray:
    """Return the only image of a folder, [H, W, C] or [H, W]."""
    (pixels,) = from_folder(folder, **options).pixels
    image = pixels.permute(1, 2, 0).numpy()
    return image[..., 0] if image.shape[2] == 1 else image


def png(width: int, height: int) -> bytes:
    """Return a small file that says it is a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


# missing, empty, none


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"path=.*/nowhere: no such file or directory\. Accepted"):
        from_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a directory"):
        from_folder(tmp_path / "file")
    with pytest.raises(InputError, match="no such file or directory"):
        from_zip(tmp_path / "nowhere.zip")


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"there is no image in it\. Accepted: images such as .png"
    ):
        from_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "sub.png").mkdir()
    with pytest.raises(InputError, match="there is no image in it"):
        from_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_and_dead_links_are_passed_by(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere.png")
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="2 leading nowhere"):
        assert from_folder(tmp_path).names == ("a.png",)


# damaged and hostile files


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "jp2", "tga", "pgm"]
)
def test_a_truncated_image_is_named(tmp_path, suffix):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / f"half.{suffix}"
    Image.fromarray(GREY).resize((70, 50)).save(path)
    whole = path.read_bytes()
    Image.fromarray(GREY).resize((70, 50)).save(tmp_path / "sub" / "a.png")
    assert len(from_folder(tmp_path)) == 2
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InputError, match=rf"image='sub/half.{suffix}': .*Accepted: a complete image"
    ):
        from_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_only_claims_to_be_an_image_is_named(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"image='a\.jpg': this is not an image"):
        from_folder(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "PNG", "tiff"])
def test_a_wrong_extension_does_not_matter(tmp_path, suffix):
    Image.fromarray(COLOUR).save(tmp_path / f"a.{suffix}", "BMP")
    assert np.array_equal(read(tmp_path), COLOUR)


@pytest.mark.parametrize("side", [9500, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png(side, side))
    said = r"image='bomb.png': .*bomb.*Accepted: a complete image of at most 89478485 pixels"
    with pytest.raises(InputError, match=said):
        from_folder(tmp_path, size=8)


def test_a_bomb_inside_a_text_chunk_is_refused(tmp_path):
    text = b"key\0\0" + zlib.compress(b"\0" * 2**27)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    raw = png(1, 1)
    (tmp_path / "bomb.png").write_bytes(raw[:33] + chunk + raw[33:])
    with pytest.raises(InputError, match=r"image='bomb\.png'"):
        from_folder(tmp_path)


AS_NOBODY = """
import os, sys
from scoremachines.data.formats.folder import from_folder
from scoremachines.errors import InputError
os.chdir(sys.argv[1])
from_folder(".")  # loads all that reading needs
os.chmod("a.png", 0)
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    from_folder(".")
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has no users to become")
def test_an_unreadable_image_is_named():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Image.fromarray(GREY).save(Path(folder) / "a.png")
        command = [sys.executable, "-W", "error", "-c", AS_NOBODY, folder]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.startswith("image='a.png': permission denied. Accepted: ")


# several frames


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


# 16 bits, real numbers, 1 bit


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
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path), 255 * (GREY > 100))


# colour


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_becomes_colour(tmp_path, suffix):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 0] = 255
    Image.fromarray(inks, "CMYK").save(tmp_path / f"a.{suffix}")
    image = read(tmp_path).astype(int)
    assert image.shape == (16, 16, 3)
    assert abs(image - [0, 255, 255]).max() <= 4


def test_a_palette_becomes_colour(tmp_path):
    few = COLOUR // 128 * 128
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
    image = Image.fromarray(GREY).convert(mode)
    image.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path, channels=1), GREY)
    assert read(tmp_path).ndim == (2 if mode == "LA" else 3)
    image.putalpha(Image.fromarray(GREY))
    image.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path), np.dstack([GREY] * 4))


def test_hidden_colours_do_not_bleed_when_resized(tmp_path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, :4] = (200, 100, 50, 255)
    image[:, 4:] = (0, 255, 0, 0)
    Image.fromarray(image).save(tmp_path / "a.png")
    small = read(tmp_path, size=3)
    seen = small[small[..., 3] > 30]
    assert len(seen) > 3
    assert abs(seen[:, :3].astype(int) - [200, 100, 50]).max() <= 12


# orientation


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
    Image.fromarray(COLOUR).save(tmp_path / f"a.{suffix}", exif=exif)
    assert np.array_equal(read(tmp_path), TURNED[orientation](COLOUR))


def test_orientation_holds_for_grey_of_16_bits_and_large_jpegs(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("deep", "large"):
        (tmp_path / name).mkdir()
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "deep" / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "deep"), np.rot90(GREY, -1))
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
    Image.fromarray(GREY).save(buffer, "JPEG", exif=exif)
    damaged = buffer.getvalue().replace(b"Exif\0\0MM\0*", b"Exif\0\0XXXX")
    assert damaged != buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(damaged)
    assert read(tmp_path).shape == (H, W)


def test_every_refusal_is_one_short_line(tmp_path):
    name = "x" * 200 + ".png"
    (tmp_path / name).write_bytes(b"no\nimage")
    with warnings.catch_warnings(record=True) as seen, pytest.raises(InputError) as caught:
        from_folder(tmp_path)
    assert not seen
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300
