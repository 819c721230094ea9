"""What promises more than there is room for is refused at once: bombs, headers, absurd sizes."""

from __future__ import annotations

import gzip
import io
import struct
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scoremachines.cli import attribute, bench, generate, train
from scoremachines.cli.main import main
from scoremachines.data import open_source
from scoremachines.data.formats.datasets import from_dataset
from scoremachines.data.formats.zips import LEAST_TOTAL, MOST_RATIO
from scoremachines.data.images.room import largest_set
from scoremachines.errors import InputError

H, W = 5, 7
LOADED = (attribute, bench, generate, train)  # so that no test waits for imports


@contextmanager
def at_once(seconds: float = 5):
    """Fail if the body takes long; twice what a busy machine needs for any of these."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((H, W), np.uint8)).save(file, "PNG")
    return file.getvalue()


def zip_that_promises(path: Path, sizes: list[int]) -> Path:
    """Write a zip file of pictures whose directory states these sizes."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(len(sizes)):
            archive.writestr(f"{number:04d}.png", picture())
    raw, place = bytearray(path.read_bytes()), 0
    for size in sizes:
        place = raw.index(b"PK\x01\x02", place)
        raw[place + 24 : place + 28] = struct.pack("<I", size)
        place += 4
    path.write_bytes(raw)
    return path


def test_a_zip_file_is_bounded_in_all(tmp_path):
    path = zip_that_promises(tmp_path / "set.zip", [2**28 - 1] * 5)
    with at_once(), pytest.raises(InputError, match=r"set\.zip: they unpack to 1342177275 bytes"):
        open_source(path)
    assert len(open_source(path, limit=3)) == 3  # fewer are within the bound
    assert MOST_RATIO * path.stat().st_size < LEAST_TOTAL


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_counted(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for _ in range(3):
            archive.writestr("a.png", picture())
    with pytest.warns(UserWarning, match="2 of a name that another one has too"):
        assert len(open_source(tmp_path / "set.zip")) == 1


def test_archives_within_archives_are_not_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.png", picture())
        archive.write(zip_that_promises(tmp_path / "inner.zip", [9, 9]), "inner.zip")
    with pytest.warns(UserWarning, match="1 in an archive that is not opened"):
        assert len(open_source(tmp_path / "set.zip")) == 1


def test_arrays_that_unpack_to_too_much_are_refused(tmp_path):
    most = largest_set()
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("images.npy")
        member.extra = struct.pack("<2HQ", 1, 8, 2 * most)  # the size, where it takes 64 bits
        array = io.BytesIO()
        np.save(array, np.zeros((3, H, W), np.uint8))
        archive.writestr(member, array.getvalue())
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = b"\xff" * 4
    path.write_bytes(raw)
    with at_once(), pytest.raises(InputError, match=r"set\.npz: images': that takes"):
        open_source(path)
    sides = struct.pack(">4B3I", 0, 0, 8, 3, 2 * most // 10**6, 1000, 1000)
    path = tmp_path / "images-idx3.gz"
    with path.open("wb") as file:
        file.write(gzip.compress(sides) + bytes(100))
        file.truncate(most // 400)  # sparse: the header alone would allow it
    with at_once(), pytest.raises(InputError, match="half of this machine's memory"):
        open_source(path)


class Endless(torch.utils.data.Dataset):
    """A data set that states a length."""

    def __len__(self) -> int:
        return 10**15

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.zeros(3, H, W, dtype=torch.uint8)


def test_a_stated_length_is_not_believed():
    with at_once(), pytest.raises(InputError, match=r"images=\[1000000000000000, 3, 5, 7\]: that"):
        from_dataset(Endless())
    with at_once(), pytest.raises(InputError, match=r"size=\(7, 7\): that takes"):
        from_dataset(Endless(), size=7)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("generate digits --size 100000", "size"),
        ("generate digits --size 999999x1", "size"),
        ("generate photographs --size 999999", "size"),
        ("generate digits --limit 100000000000000000000", "limit"),
        ("generate shapes --limit 100000000000000000000", "n"),
        ("generate shapes --shapes.size 1000000", "size"),
        ("generate shapes --shapes.n 10000000 --shapes.size 1000", "n"),
        ("generate shapes --shapes.feature_size 100000", "feature_size"),
        ("generate shapes --shapes.features 100000 --shapes.size 1000", "features"),
        ("generate {} --size 4096 --limit 100000", "size"),
        ("train digits --size 99999", "size"),
        ("attribute {}/0.png --data digits --size 99999", "size"),
        ("bench --counts 1000000000", "counts"),
        ("bench --size 99999", "size"),
    ],
)
def test_absurd_sizes_are_refused_by_their_argument(tmp_path, monkeypatch, capsys, command, names):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    many = largest_set() // 4096**2 + 1
    for number in range(many if "{} --size" in command else 1):
        (tmp_path / "set" / f"{number}.png").write_bytes(picture())
    with at_once():
        assert main(command.format("set").split()) == 2
    assert f"error: {names}=" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["set"]
