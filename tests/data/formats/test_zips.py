"""Hostile zip files: nothing is unpacked to disk, bombs and damage are refused by name."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scoremachines.data.formats.zips import from_zip
from scoremachines.errors import InputError

H, W = 5, 7
GREY = np.random.default_rng(0).integers(0, 256, (H, W), dtype=np.uint8)


def zipped(path: Path, name: str, content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, content)
    return path.read_bytes()


def bmp() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "BMP")
    return buffer.getvalue()


def test_names_that_lead_outside_do_no_harm(tmp_path):
    path = tmp_path / "inner" / "set.zip"
    path.parent.mkdir()
    zipped(path, "../../outside.bmp", bmp())
    assert len(from_zip(path)) == 1
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["inner", "set.zip"]


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path):
    path = tmp_path / "set.zip"
    raw = bytearray(zipped(path, "a.png", bmp()))
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 2**30)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"image='a\.png': it unpacks to 1073741824 bytes"):
        from_zip(path)


def test_a_zip_file_that_declares_too_little_is_refused(tmp_path):
    path = tmp_path / "set.zip"
    raw = bytearray(zipped(path, "a.bmp", bmp()))
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 20)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"image='a\.bmp'"):
        from_zip(path)


def test_an_encrypted_zip_file_is_refused(tmp_path):
    path = tmp_path / "set.zip"
    raw = bytearray(zipped(path, "a.bmp", bmp()))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"image='a\.bmp': .*encrypted"):
        from_zip(path)


def test_a_damaged_zip_file_is_refused(tmp_path):
    path = tmp_path / "set.zip"
    raw = zipped(path, "a.bmp", bmp(), zipfile.ZIP_STORED)
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match=r"path=.*set\.zip: .*Accepted: a zip file with images"):
        from_zip(path)
    path.write_bytes(raw.replace(bmp()[-4:], b"\1\2\3\4"))
    with pytest.raises(InputError, match=r"image='a\.bmp': Bad CRC-32"):
        from_zip(path)
    zipped(path, "notes.txt", b"words")
    with pytest.raises(InputError, match="there is no image in it"):
        from_zip(path)
    zipped(path, "folder.png/", b"")
    with pytest.raises(InputError, match="there is no image in it"):
        from_zip(path)


def test_images_in_a_zip_file_follow_the_same_rules(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(GREY.astype(np.uint16) * 257).save(buffer, "PNG", exif=exif)
    zipped(tmp_path / "set.zip", "a/x.png", buffer.getvalue())
    data = from_zip(tmp_path / "set.zip")
    assert torch.equal(data.pixels[0, 0], torch.from_numpy(np.rot90(GREY, -1).copy()))
    zipped(tmp_path / "set.zip", "a/x.png", buffer.getvalue()[:60])
    with pytest.raises(InputError, match=r"image='a/x\.png'"):
        from_zip(tmp_path / "set.zip")
