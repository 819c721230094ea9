"""Sets in shards that were interrupted, damaged or extended: the same bytes, nothing lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import scoremachines as sm
from scoremachines.data.sharded.manifest import MANIFEST
from scoremachines.errors import InputError
from support.sources import SMALL, folder, picture


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
    options: dict[str, Any] = {"size": 8, "shard_size": SMALL, "append": True, "resume": True}
    sm.shard(more, out, **options)  # it is there already
    assert files(out) == now
    (out / "shard-00003.npy").unlink()
    sm.shard(more, out, **options)
    assert files(out) == now
    (out / "shard-00000.npy").unlink()
    with pytest.raises(InputError, match="came from an earlier source"):
        sm.shard(more, out, **options)


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
