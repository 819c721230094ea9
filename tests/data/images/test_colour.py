"""Colours and depths against known pixels: ICC profiles, 16 bits, transparency, odd whites."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from scoremachines.data import open_source
from scoremachines.data.formats.datasets import from_dataset
from scoremachines.data.formats.folder import from_folder
from scoremachines.data.images.decode import decode

WHITE = (0.9642, 1.0, 0.8249)  # D50
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
"""Red, green and blue of Adobe RGB (1998) and of sRGB under D50, as published."""
GAMMA = 563 / 256


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of version 4."""
    name = "test".encode("utf-16-be")
    text = b"mluc\0\0\0\0" + struct.pack(">2I4s2I", 1, 12, b"enUS", len(name), 28) + name
    tags = {b"desc": text, b"cprt": text, b"wtpt": b"XYZ \0\0\0\0" + fixed(*WHITE)} | tags
    table, data = b"", b""
    for key, body in tags.items():
        table += key + struct.pack(">2I", 132 + 12 * len(tags) + len(data), len(body))
        data += body
    head = struct.pack(">I4xI", 132 + len(table + data), 0x04300000)
    head += (b"prtr" if space == b"CMYK" else b"mntr") + space + connection
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + fixed(*WHITE)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def power_law(space: bytes, gamma: float, primaries: tuple = ()) -> bytes:
    """Return a profile of a power law, with a matrix if it has primaries."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma)) + b"\0\0"
    names = (b"rXYZ", b"gXYZ", b"bXYZ")[: len(primaries)]
    tags = {
        name: b"XYZ \0\0\0\0" + fixed(*each) for name, each in zip(names, primaries, strict=True)
    }
    tags |= dict.fromkeys([b"rTRC", b"gTRC", b"bTRC"] if primaries else [b"kTRC"], curve)
    return profile(space, b"XYZ ", tags)


def black_inks() -> bytes:
    """Return a profile of four inks, all of them black."""
    same = bytes(range(256))
    grid = b"".join(
        bytes([0 if any(inks) else 255, 128, 128]) for inks in product((0, 1), repeat=4)
    )
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile(b"CMYK", b"Lab ", {b"A2B0": table + same * 4 + grid + same * 3})


ADOBE_RGB, GREY_1_8 = power_law(b"RGB ", GAMMA, ADOBE), power_law(b"GRAY", 1.8)


def encoded(linear: np.ndarray) -> np.ndarray:
    """Return sRGB's levels of light."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def from_adobe(levels: np.ndarray) -> np.ndarray:
    """Return the sRGB levels of colours in Adobe RGB, by the definition of both."""
    return encoded((levels / 255) ** GAMMA @ np.array(ADOBE) @ np.linalg.inv(np.array(SRGB)))


def read(image: Image.Image, kind: str = "PNG", **options: object) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return np.asarray(decode(file, "test")[0]).astype(int)


levels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
levels[0, 0] = (60, 200, 60)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_adobe_rgb_is_converted_to_srgb(kind):
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    found = read(Image.fromarray(levels), kind, icc_profile=ADOBE_RGB, **options.get(kind, {}))
    off = abs(found - from_adobe(levels))
    assert off.max() <= 1 if kind != "JPEG" else np.median(off) <= 2
    if kind != "JPEG":
        assert found[0, 0].tolist() == [0, 201, 37]


def test_alpha_and_palettes_are_converted_too():
    alpha = np.arange(35, dtype=np.uint8).reshape(5, 7, 1) * 7
    found = read(Image.fromarray(np.concatenate([levels, alpha], 2)), icc_profile=ADOBE_RGB)
    assert np.array_equal(found[..., 3], alpha[..., 0])
    assert abs(found[..., :3] - from_adobe(levels)).max() <= 1
    palette = Image.fromarray(levels).quantize(64)
    found = read(palette, icc_profile=ADOBE_RGB)
    assert abs(found - from_adobe(np.asarray(palette.convert("RGB")))).max() <= 1


def test_grey_profiles_are_converted_at_8_and_16_bits():
    grey = np.arange(0, 256, 3, dtype=np.uint8)[None]
    expected = encoded((grey / 255) ** 1.8)
    assert abs(read(Image.fromarray(grey), icc_profile=GREY_1_8) - expected).max() <= 1
    deep = np.arange(0, 65536, 97, dtype=np.uint16)[None]
    expected = encoded((deep / 65535) ** 1.8)
    for kind in ("PNG", "TIFF"):
        assert abs(read(Image.fromarray(deep), kind, icc_profile=GREY_1_8) - expected).max() <= 1
    both = np.stack([grey[0], 255 - grey[0]], -1)[None]
    found = read(Image.fromarray(both, "LA"), icc_profile=GREY_1_8)
    assert np.array_equal(found[..., 1], both[..., 1])
    assert abs(found[..., 0] - encoded((grey / 255) ** 1.8)).max() <= 1
    in_rgb = read(Image.fromarray(grey), icc_profile=ADOBE_RGB)  # equal red, green and blue
    assert abs(in_rgb - encoded((grey / 255) ** GAMMA)).max() <= 1


def test_inks_are_converted_by_their_profile():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 51, 0, 0]]], np.uint8)
    image = Image.fromarray(inks, "CMYK")
    assert read(image, "TIFF")[0, 1].tolist() == [0, 255, 255]  # without one, cyan
    found = read(image, "TIFF", icc_profile=black_inks())[0]
    light = ((80 + 16) / 116) ** 3  # L* of 80
    expected = [255, 0, 0, float(encoded(np.array(light)))]
    assert abs(found - np.array(expected)[:, None]).max() <= 2


def test_srgb_keeps_its_bytes():
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(read(Image.fromarray(levels), icc_profile=own), levels)


@pytest.mark.parametrize(
    ("profile", "remark"),
    [
        (b"junk", "damaged"),
        (ADOBE_RGB[:300], "damaged"),
        (ADOBE_RGB.replace(b"rTRC", b"zzzz"), "damaged"),
        (GREY_1_8, "for other kinds of pixels"),
    ],
)
def test_profiles_that_cannot_be_used_are_named(tmp_path, profile, remark):
    for name in ("a.png", "b.png"):
        Image.fromarray(levels).save(tmp_path / name, icc_profile=profile)
    text = rf"2 images have a .*{remark}.* taken as sRGB \(the first is a.png\)"
    with pytest.warns(UserWarning, match=text):
        data = from_folder(tmp_path)
    assert np.array_equal(data.pixels[1].permute(1, 2, 0).numpy(), levels)
    with pytest.warns(UserWarning, match="1 images have"):
        from_dataset([Image.open(tmp_path / "a.png")])


def test_colours_that_are_stated_otherwise_are_named():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    camera = io.BytesIO()
    Image.fromarray(levels).save(camera, "JPEG", exif=exif)
    plain = io.BytesIO()
    Image.fromarray(levels).save(plain, "PNG")
    for file, remark in ((camera, "are in Adobe RGB by their EXIF data"), (plain, None)):
        found = decode(io.BytesIO(file.getvalue()), "test")[1]
        assert [each for each in found if remark and remark in each] == list(found)
        assert len(found) == (remark is not None)
    head, rest = plain.getvalue()[:33], plain.getvalue()[33:]
    for gamma, count in ((100_000, 1), (45_455, 0)):
        body = b"gAMA" + struct.pack(">I", gamma)
        stated = head + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + rest
        assert len(decode(io.BytesIO(stated), "test")[1]) == count


def tiff(bits: int, kind: int, photometric: int, raw: bytes, order: str = "<") -> bytes:
    """Return a TIFF file of one row of grey pixels; kind 1 is unsigned, 2 signed, 3 real."""
    width = len(raw) * 8 // bits
    tags = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8 + 2 + 12 * 10 + 4), (277, 3, 1), (278, 3, 1), (279, 4, len(raw))]
    tags += [(339, 3, kind)]
    file = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    for tag, size, value in tags:
        form = "HHIHxx" if size == 3 else "HHII"
        file += struct.pack(order + form, tag, size, 1, value)
    return file + bytes(4) + raw


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (tiff(16, 1, 0, struct.pack("<3H", 0, 257 * 90, 65535)), [255, 165, 0]),
        (tiff(16, 1, 1, struct.pack("<3H", 0, 257 * 90, 65535)), [0, 90, 255]),
        (tiff(16, 1, 1, struct.pack(">3H", 0, 257 * 90, 65535), ">"), [0, 90, 255]),
        (tiff(16, 2, 1, struct.pack("<2h", 0, 257 * 90)), [0, 90]),
        (tiff(12, 1, 1, bytes([0xFF, 0xF0, 0x00])), [255, 0]),
        (tiff(8, 1, 0, bytes([0, 200])), [255, 55]),
        (tiff(32, 1, 1, struct.pack("<2I", 0, 65535)), [0, 255]),
        (tiff(32, 3, 1, struct.pack("<3f", 0, 0.2, 1)), [0, 51, 255]),
        (tiff(32, 3, 0, struct.pack("<3f", 0, 0.2, 1)), [255, 204, 0]),
        (tiff(32, 3, 0, struct.pack(">3f", 0, 0.2, 1), ">"), [255, 204, 0]),
        (b"P5 3 1 65535\n" + struct.pack(">3H", 0, 257 * 90, 65535), [0, 90, 255]),
        (b"P5 3 1 1023\n" + struct.pack(">3H", 0, 341, 1023), [0, 85, 255]),
        (b"P5 3 1 5\n" + bytes([0, 2, 5]), [0, 102, 255]),
        (b"Pf\n3 1\n-1.0\n" + struct.pack("<3f", 0, 0.2, 1), [0, 51, 255]),
    ],
)
def test_grey_of_every_depth_comes_in_as_it_is(tmp_path, file, expected):
    picture, remarks = decode(io.BytesIO(file), "test")
    assert (picture.mode, remarks) == ("L", ())
    assert np.asarray(picture)[0].tolist() == expected
    turned = np.asarray(picture).T
    (tmp_path / "a.tif").write_bytes(file)
    data = open_source(tmp_path / "a.tif")  # one picture is a set
    assert (len(data), data.names, data.labels) == (1, ("a.tif",), None)
    assert np.array_equal(data.pixels[0, 0].numpy().T, turned)


def png(depth: int, kind: int, width: int, raw: bytes, transparent: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    head = struct.pack(">2I5B", width, 1, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + raw))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in [*parts, (b"IEND", b"")])


@pytest.mark.parametrize(
    ("file", "values", "alpha"),
    [
        (png(1, 0, 2, bytes([0x40]), b"\0\1"), [0, 255], [255, 0]),
        (png(2, 0, 4, bytes([0x1B]), b"\0\1"), [0, 85, 170, 255], [255, 0, 255, 255]),
        (png(4, 0, 4, bytes([0x05, 0xAF]), b"\0\5"), [0, 85, 170, 255], [255, 0, 255, 255]),
        (png(8, 0, 3, bytes([0, 85, 255]), b"\0\x55"), [0, 85, 255], [255, 0, 255]),
        (png(16, 0, 3, struct.pack(">3H", 0, 300, 65535), b"\1\x2c"), [0, 1, 255], [255, 0, 255]),
        (
            png(16, 2, 2, struct.pack(">6H", *[257 * 9] * 3, *[257 * 8] * 3), b"\x09\x09" * 3),
            [9, 8],
            [0, 255],
        ),
    ],
)
def test_the_transparent_colour_of_a_png_is_found_at_every_depth(file, values, alpha):
    picture, _ = decode(io.BytesIO(file), "test")
    found = np.asarray(picture)[0]
    assert found[:, 0].tolist() == values
    assert found[:, -1].tolist() == alpha


def test_deep_pictures_are_turned_and_resized_like_others(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = (levels[..., 0].astype(np.uint16) * 257).repeat(4, 0).repeat(4, 1)
    for name in ("a.png", "b.tif"):
        Image.fromarray(deep).save(tmp_path / name, exif=exif)
    Image.fromarray((deep // 257).astype(np.uint8)).save(tmp_path / "c.png", exif=exif)
    data = from_folder(tmp_path, size=(7, 5))
    assert torch.equal(data.pixels[0], data.pixels[2])
    assert torch.equal(data.pixels[1], data.pixels[2])
