"""Sets in shards from every kind of source: the reader's images, and the same bytes."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scoremachines as sm
from scoremachines.data.sharded.manifest import MANIFEST
from scoremachines.data.sharded.pixels import ShardedPixels
from scoremachines.errors import InputError

SMALL = 5 * 3 * 8 * 8
"""Bytes of five images."""


def picture(number: int, size: tuple[int, int] = (13, 11), mode: str = "RGB") -> bytes:
    draw = np.random.default_rng(number)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    image = Image.fromarray(draw.integers(0, 256, shape).astype(np.uint8))
    with io.BytesIO() as file:
        image.save(file, "png")
        return file.getvalue()


def folder(path: Path, count: int = 23) -> Path:
    for number in range(count):
        place = path / f"class{number % 3}" / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(number))
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path / "set.zip", "w") as archive:
        for number in range(12):
            archive.writestr(f"c{number % 2}/{number}.png", picture(number))
    return path / "set.zip"


def tarred(path: Path, first: int = 0) -> Path:
    with tarfile.open(path, "w") as archive:
        for number in range(first, first + 6):
            for name, held in (
                (f"{number:04d}.png", picture(number)),
                (f"{number:04d}.cls", str(number % 4).encode()),
                (f"{number:04d}.json", b'{"label": 9, "text": "a"}'),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(held)
                archive.addfile(member, io.BytesIO(held))
    return path


def idx(path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (9, 7, 6)).astype(np.uint8)
    for name, array in (("images-idx3", values), ("labels-idx1", np.arange(9, dtype=np.uint8))):
        head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        with gzip.open(path / f"{name}-ubyte.gz", "wb") as file:
            file.write(head + array.tobytes())
    return path / "images-idx3-ubyte.gz"


def numbers(path: Path, kind: str) -> Path:
    values = np.random.default_rng(0).random((9, 7, 6, 3))
    array = (values * 65535).astype(kind) if kind == "uint16" else (values * 2 - 1).astype(kind)
    np.save(path / "x.npy", array)
    return path / "x.npy"


def saved(path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    rows = {
        "image": [Image.open(io.BytesIO(picture(number))) for number in range(11)],
        "label": [number % 2 for number in range(11)],
    }
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"])
    )
    datasets.Dataset.from_dict(rows, features).save_to_disk(str(path / "saved"))
    return path / "saved"


Case = tuple[Callable[[Path], Any], dict[str, Any]]
SOURCES: dict[str, Case] = {
    "folder": (folder, {"size": 8}),
    "tiles": (folder, {"size": 4, "crop": "tiles"}),
    "few": (folder, {"size": 8, "limit": 7, "channels": 1}),
    "zip": (zipped, {"size": (8, 6), "crop": "stretch"}),
    "tar": (lambda path: tarred(path / "a.tar"), {"size": 8}),
    "idx": (idx, {}),
    "npy": (lambda path: numbers(path, "float32"), {}),
    "real": (lambda path: numbers(path, "float64"), {}),
    "deep": (lambda path: numbers(path, "uint16"), {"limits": (0, 65535)}),
    "digits": (lambda _: "digits", {}),
    "resized": (lambda _: "digits", {"size": 5}),
}


def same(one: sm.TrainingSet, other: sm.TrainingSet) -> None:
    assert one.pixels.dtype == other.pixels.dtype
    torch.testing.assert_close(one.images, other.images, rtol=0, atol=1e-7)
    assert (one.labels is None) == (other.labels is None)
    if one.labels is not None:
        assert torch.equal(one.labels, other.labels)
    assert one.classes == other.classes


@pytest.mark.parametrize("name", SOURCES)
def test_shards_hold_what_the_reader_reads(tmp_path: Path, name: str) -> None:
    make, options = SOURCES[name]
    source = make(tmp_path / "in" if name in ("folder", "tiles", "few") else tmp_path)
    known = sm.open_source(source, **options)
    size = known.pixels.nbytes // 6
    data = sm.shard(source, tmp_path / "out.shards", shard_size=size, threads=3, **options)
    assert isinstance(data.pixels, ShardedPixels)
    same(data, known)
    assert list(data.names or ()) == list(known.names or ())
    assert data.fingerprint() == known.fingerprint() or name == "deep"
    assert data.name == known.name
    shards = data.pixels.shards.manifest.shards
    assert len(shards) > 1
    most = max(size, data.pixels.nbytes // len(data))
    assert all(shard.pixels.bytes <= most + 128 for shard in shards)
    again = sm.TrainingSet.open(tmp_path / "out.shards")
    assert again.fingerprint() == data.fingerprint()


def test_data_sets_are_sharded_row_by_row(tmp_path: Path) -> None:
    source = saved(tmp_path)
    data = sm.shard(source, tmp_path / "out.shards", size=8, shard_size=SMALL)
    import datasets

    known = sm.from_dataset(datasets.load_from_disk(str(source)), 8)
    same(data, known)
    assert data.classes == ("cat", "dog")

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return ((torch.full((1, 5, 6), i / 50), i % 2) for i in range(30))

    rows = sm.shard(Stream(), tmp_path / "s.shards", shard_size=64, limits=(0, 1), limit=20)
    assert (len(rows), rows.shape) == (20, (1, 5, 6))
    torch.testing.assert_close(rows.images[19].max(), torch.tensor(2 * 19 / 50 - 1))
    pairs = sm.TrainingSet(known.pixels, known.labels, known.classes)
    same(sm.shard(pairs, tmp_path / "t.shards"), known)


def test_a_folder_of_tars_is_one_set(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    for part in range(3):
        tarred(tmp_path / "tars" / f"{part}.tar", 6 * part)
    data = sm.shard(tmp_path / "tars", tmp_path / "out.shards", size=8, shard_size=SMALL)
    known = sm.from_tar(tmp_path / "tars" / "1.tar", 8)
    assert torch.equal(data.block(slice(6, 12)), known.images)
    assert data.labels is not None
    assert data.labels.tolist() == [number % 4 for number in range(18)]
    assert data.names is not None
    assert data.names[7] == "1.tar/0007.png"


def files(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.glob("[!.]*")}


def test_neither_threads_nor_an_end_change_a_byte(tmp_path: Path) -> None:
    source = folder(tmp_path / "in")
    options: dict[str, Any] = {"size": 4, "crop": "tiles", "shard_size": 7 * 48}
    sm.shard(source, tmp_path / "one.shards", threads=1, **options)
    known = files(tmp_path / "one.shards")
    assert len(known) > 20
    damaged = source / "class1" / "016.png"
    held = damaged.read_bytes()
    damaged.write_bytes(held[:40])
    with pytest.raises(InputError, match=r"016\.png"):
        sm.shard(source, tmp_path / "two.shards", threads=4, **options)
    with pytest.raises(InputError, match="not finished"):
        sm.TrainingSet.open(tmp_path / "two.shards")
    damaged.write_bytes(held)
    with pytest.raises(InputError, match="or to resume"):
        sm.shard(source, tmp_path / "two.shards", **options)
    with pytest.raises(InputError, match="other settings: framing"):
        sm.shard(source, tmp_path / "two.shards", resume=True, **(options | {"crop": "centre"}))
    sm.shard(source, tmp_path / "two.shards", resume=True, **options)
    assert files(tmp_path / "two.shards") == known


KILLED = """
import sys, os
import scoremachines as sm
from scoremachines.data.formats.pictures import Pictures
read = Pictures._read
def dies(self, index):
    if index == int(sys.argv[3]):
        os.kill(os.getpid(), 9)
    return read(self, index)
Pictures._read = dies
sm.shard(sys.argv[1], sys.argv[2], size=8, shard_size=960, resume=True, threads=2)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", 200)
    sm.shard(source, tmp_path / "one.shards", size=8, shard_size=960)
    for index in (0, 90, 199):
        line = [
            sys.executable,
            "-c",
            KILLED,
            str(source),
            str(tmp_path / "two.shards"),
            str(index),
        ]
        assert subprocess.run(line, capture_output=True).returncode == -signal.SIGKILL
    sm.shard(source, tmp_path / "two.shards", size=8, shard_size=960, resume=True)
    assert files(tmp_path / "two.shards") == files(tmp_path / "one.shards")


def test_damaged_shards_are_written_again(tmp_path: Path) -> None:
    source, out = folder(tmp_path / "in"), tmp_path / "out.shards"
    sm.shard(source, out, size=8, shard_size=SMALL)
    known = files(out)
    (out / "shard-00002.npy").write_bytes(b"x" * 999)
    (out / "shard-00003.labels.npy").unlink()
    with pytest.raises(InputError, match="--resume"):
        sm.TrainingSet.open(out)
    sm.shard(source, out, size=8, shard_size=SMALL, resume=True)
    assert files(out) == known


def test_sets_are_extended(tmp_path: Path) -> None:
    first, out = folder(tmp_path / "in", 9), tmp_path / "out.shards"
    sm.shard(first, out, size=8, shard_size=SMALL)
    before = files(out)
    more = tmp_path / "more"
    for number in range(8):
        place = more / f"class{2 + number % 2}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(100 + number))
    with pytest.raises(InputError, match="size"):
        sm.shard(more, out, size=9, append=True)
    data = sm.shard(more, out, size=8, shard_size=SMALL, append=True)
    assert len(data) == 17
    assert data.classes == ("class0", "class1", "class2", "class3")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] + [2] * 4 + [3] * 4
    assert torch.equal(data.block(slice(9, None)), sm.from_folder(more, 8).images)
    now = files(out)
    assert {name for name in before if before[name] != now[name]} == {MANIFEST}
    known = sm.TrainingSet(data.pixels[:], data.labels, data.classes)
    assert data.fingerprint() == known.fingerprint()


def test_a_set_stays_as_it_is_until_more_is_sealed(tmp_path: Path) -> None:
    first, out = folder(tmp_path / "in", 9), tmp_path / "out.shards"
    sm.shard(first, out, size=8, shard_size=SMALL)
    more = folder(tmp_path / "more", 12)
    held = (more / "class2" / "011.png").read_bytes()
    (more / "class2" / "011.png").write_bytes(held[:50])
    options: dict[str, Any] = {"size": 8, "shard_size": SMALL, "append": True}
    with pytest.raises(InputError, match=r"011\.png"):
        sm.shard(more, out, **options)
    assert len(sm.TrainingSet.open(out)) == 9
    with pytest.raises(InputError, match="it is being written"):
        sm.shard(first, out, resume=True, **options)
    (more / "class2" / "011.png").write_bytes(held)
    assert len(sm.shard(more, out, resume=True, **options)) == 21


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", 5)
    (source / "class1" / "odd.png").write_bytes(picture(7, (5, 4)))
    with pytest.raises(InputError, match=r"size=None: 'class1/odd.png' is uint8 \[3, 4, 5\]"):
        sm.shard(source, tmp_path / "a.shards")
    (source / "class0" / "000.png").write_bytes(picture(7, mode="L"))
    with pytest.raises(InputError, match=r"channels=1: .*channels=3"):
        sm.shard(source, tmp_path / "b.shards", size=8)
    assert sm.shard(source, tmp_path / "c.shards", size=8, channels=3).shape == (3, 8, 8)
    for options, named in (
        ({"shard_size": 0}, "shard_size"),
        ({"threads": 0}, "threads"),
        ({"limits": (0, 1)}, "limits"),
        ({"colour": 3}, "options"),
    ):
        with pytest.raises(InputError, match=named):
            sm.shard(source, tmp_path / "d.shards", size=8, **options)
    assert not (tmp_path / "d.shards" / MANIFEST).exists()
    with pytest.raises(InputError, match="nothing is there"):
        sm.shard(tmp_path / "nowhere", tmp_path / "e.shards")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text.txt").write_text("keep")
    with pytest.raises(InputError, match="something else"):
        sm.shard(source, tmp_path / "mine", size=8)


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    """Sixteen times as many images take no more memory than a shard or two."""
    code = (
        "import sys, resource, numpy as np, scoremachines as sm;"
        "np.lib.format.open_memmap(sys.argv[1], 'w+', np.uint8, (int(sys.argv[2]), 64, 64, 3));"
        "sm.shard(sys.argv[1], sys.argv[1] + '.shards', shard_size=2**22, size=32);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    peaks = []
    for count in (1000, 16000):
        line = [sys.executable, "-c", code, str(tmp_path / f"{count}.npy"), str(count)]
        ended = subprocess.run(line, capture_output=True, text=True, check=True)
        peaks.append(float(ended.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 260  # MiB: the source's own pages, 188, and what is ahead


def test_the_command_writes_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from scoremachines.cli.main import main

    source, out = folder(tmp_path / "in"), tmp_path / "out.shards"
    line = ["shard", str(source), "--size", "8", "--shard-size", "1kB", "-o", str(out)]
    assert main(line) == 0
    assert "N=23, 3x8x8" in capsys.readouterr().out
    assert len(json.loads((out / MANIFEST).read_text())["shards"]) == 5
    assert main(line) == 2
    assert main([*line, "--resume"]) == 0
    assert main([*line[:5], "0", "-o", str(out)]) == 2
    assert "shard_size='0'" in capsys.readouterr().err
    since = time.monotonic()
    assert len(sm.TrainingSet.open(out)) == 23
    assert time.monotonic() - since < 60
    assert os.listdir(out)
