"""Missing, damaged and hostile images: refused by name, before they are decoded."""

from __future__ import annotations

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

from scoremachines.data.formats.folder import from_folder
from scoremachines.data.formats.zips import from_zip
from scoremachines.errors import InputError
from support.pictures import ONE_COLOUR, ONE_GREY, read


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
    Image.fromarray(ONE_GREY).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="2 leading nowhere"):
        assert from_folder(tmp_path).names == ("a.png",)


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "jp2", "tga", "pgm"]
)
def test_a_truncated_image_is_named(tmp_path, suffix):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / f"half.{suffix}"
    Image.fromarray(ONE_GREY).resize((70, 50)).save(path)
    whole = path.read_bytes()
    Image.fromarray(ONE_GREY).resize((70, 50)).save(tmp_path / "sub" / "a.png")
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
    Image.fromarray(ONE_COLOUR).save(tmp_path / f"a.{suffix}", "BMP")
    assert np.array_equal(read(tmp_path), ONE_COLOUR)


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
        Image.fromarray(ONE_GREY).save(Path(folder) / "a.png")
        command = [sys.executable, "-W", "error", "-c", AS_NOBODY, folder]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.startswith("image='a.png': permission denied. Accepted: ")


def test_every_refusal_is_one_short_line(tmp_path):
    name = "x" * 200 + ".png"
    (tmp_path / name).write_bytes(b"no\nimage")
    with warnings.catch_warnings(record=True) as seen, pytest.raises(InputError) as caught:
        from_folder(tmp_path)
    assert not seen
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300
