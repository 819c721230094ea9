"""Random and damaged bytes: read, or refused in one line."""

from __future__ import annotations

import gzip
import io
import warnings
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scoremachines.data import open_source
from scoremachines.errors import InputError
from support.pictures import COLOUR, GREY, idx

STARTS = {
    "set.npy": (b"\x93NUMPY\x01\x00",),
    "set.npz": (b"PK\x03\x04", b"PK\x05\x06"),
    "set.zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "set.safetensors": (b"\x10\0\0\0\0\0\0\0{",),
    "set.idx": (b"\0\0\x08\x03", b"\x1f\x8b\x08"),
    "folder/set.png": (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0", b"RIFF"),
}


@pytest.mark.parametrize("name", STARTS)
@given(content=st.data())
def test_random_bytes_are_refused_in_one_line(tmp_path_factory, name, content):
    start = content.draw(st.sampled_from((b"", *STARTS[name])))
    path = tmp_path_factory.mktemp("fuzz") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(start + content.draw(st.binary(max_size=200)))
    source = path.parent if "/" in name else path
    with pytest.raises(InputError) as caught:
        open_source(source)
    assert len(str(caught.value).splitlines()) == 1


def valid_files() -> dict[str, bytes]:
    files = {}
    for name, kind in (("set.npy", "npy"), ("set.npz", "npz")):
        buffer = io.BytesIO()
        np.save(buffer, GREY) if kind == "npy" else np.savez_compressed(buffer, GREY)
        files[name] = buffer.getvalue()
    files["set.idx"] = idx(GREY)
    files["set.idx.gz"] = gzip.compress(idx(GREY))
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp", "tga", "pgm", "ico"):
        buffer = io.BytesIO()
        Image.fromarray(COLOUR[0] if suffix != "pgm" else GREY[0]).save(
            buffer, Image.registered_extensions()[f".{suffix}"]
        )
        files[f"folder/a.{suffix}"] = buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", files["folder/a.bmp"])
    files["set.zip"] = buffer.getvalue()
    return files


VALID = valid_files()


@pytest.mark.parametrize("name", VALID)
@given(content=st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, name, content):
    raw = bytearray(VALID[name])
    for _ in range(content.draw(st.integers(0, 4))):
        raw[content.draw(st.integers(0, len(raw) - 1))] = content.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(raw[: content.draw(st.integers(0, len(raw)))] or raw)
    with warnings.catch_warnings(), suppress(InputError):
        warnings.filterwarnings("ignore", ".*several frames")
        assert len(open_source(path.parent if "/" in name else path)) >= 1
