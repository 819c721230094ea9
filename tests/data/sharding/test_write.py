"""Sets in shards from every kind of source: the reader's images, and the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import scoremachines as sm
from scoremachines.data.sharded.manifest import MANIFEST
from scoremachines.data.sharded.pixels import ShardedPixels
from scoremachines.errors import InputError
from support.sources import SMALL, folder, idx, numbers, picture, saved, tarred, zipped

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
