"""Sets in shards: the same as the set in memory, whatever the shards are; damage is one line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import scoremachines as sm
from scoremachines.data.reduction import Pass
from scoremachines.data.sharded import files
from scoremachines.data.sharded.manifest import MANIFEST, Manifest, Shard, stored_file
from scoremachines.data.sharded.pixels import ShardedNames, ShardedPixels
from scoremachines.data.sharded.place import Place
from scoremachines.errors import InputError
from scoremachines.machine.baselines import Wiener

COUNT, SHAPE = 23, (3, 4, 5)


def in_memory(dtype: torch.dtype = torch.uint8) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (COUNT, *SHAPE), generator=draw, dtype=torch.uint8)
    if dtype != torch.uint8:
        pixels = pixels.to(dtype) / 127.5 - 1
    names = [f"{number} ä.png" for number in range(COUNT)]
    labels = torch.arange(COUNT) % 3
    return sm.TrainingSet(pixels, labels, ("a", "b", "c"), name="set", names=names)


def written(folder: Path, data: sm.TrainingSet, sizes: list[int]) -> Path:
    """Write a set in shards of given sizes."""
    folder.mkdir()
    shards, start = [], 0
    assert data.labels is not None
    assert data.names is not None
    for number, size in enumerate(sizes):
        stem, part = f"shard-{number:05d}", slice(start, start + size)
        np.save(folder / f"{stem}.npy", data.pixels[part].numpy())
        np.save(folder / f"{stem}.labels.npy", data.labels[part].numpy())
        (folder / f"{stem}.names.json").write_text(json.dumps(data.names[part]))
        files = [f"{stem}.npy", f"{stem}.labels.npy", f"{stem}.names.json"]
        shards.append(Shard(size, *(stored_file(folder / name) for name in files)))
        start += size
    kind = str(data.pixels.dtype).removeprefix("torch.")
    manifest = Manifest(
        "set",
        SHAPE,
        kind,
        data.classes,
        tuple(shards),
        len(shards),
        data.fingerprint(),
        labelled=True,
        named=True,
    )
    manifest.write(folder)
    return folder


SIZES = [[COUNT], [1] * COUNT, [0, 7, 0, 0, 1, 15, 0], [10, 10, 3]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=["one", "ones", "empty", "uneven"])
def test_shards_are_the_set(tmp_path: Path, sizes: list[int], dtype: torch.dtype) -> None:
    known = in_memory(dtype)
    data = sm.TrainingSet.open(written(tmp_path / "x.shards", known, sizes))
    assert isinstance(data.pixels, ShardedPixels)
    assert isinstance(data.names, ShardedNames)
    assert (len(data), data.shape, data.classes) == (COUNT, SHAPE, known.classes)
    assert data.pixels.nbytes == known.pixels.nbytes
    assert repr(data) == repr(known)
    assert torch.equal(data.images, known.images)
    assert torch.equal(data.labels, known.labels)
    assert list(data.names) == list(known.names or ())
    assert data.names[-1] == known.names[-1]
    assert data.fingerprint() == known.fingerprint()
    some = torch.tensor([22, 0, 8, 8, 7, -1])
    for index in (slice(3, 11), slice(5, 5), slice(None, None, 4), some, torch.arange(COUNT) > 9):
        assert torch.equal(data.block(index), known.block(index))
    again = pickle.loads(pickle.dumps(data.pixels))
    assert torch.equal(again[2:9], known.pixels[2:9])


def test_a_part_stays_on_disk_and_is_a_set(tmp_path: Path) -> None:
    known = in_memory()
    data = sm.TrainingSet.open(written(tmp_path / "x.shards", known, [9, 9, 5]))
    for index in (slice(2, 20, 3), torch.tensor([4, 4, 21])):
        one, other = data.subset(index), known.subset(index)
        assert isinstance(one.pixels, ShardedPixels)
        assert one.fingerprint() == other.fingerprint() != data.fingerprint()
        assert list(one.names or ()) == list(other.names or ())
        assert torch.equal(one.subset(slice(1, 2)).images, other.subset(slice(1, 2)).images)
    assert len(sm.open_source(tmp_path / "x.shards", limit=4)) == 4
    assert torch.equal(data.resized(3).images, known.resized(3).images)
    sm.save_training_set(data, tmp_path / "copy.safetensors")
    assert sm.load_training_set(tmp_path / "copy.safetensors").fingerprint() == data.fingerprint()


@pytest.mark.parametrize("attention", ["none", "tiled", "top1", "tiled-class", "tiled-consensus"])
def test_machines_have_the_same_bits(tmp_path: Path, attention: str) -> None:
    known = in_memory()
    data = sm.TrainingSet.open(written(tmp_path / "x.shards", known, [4, 0, 19]))
    noisy = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    for label in (None, 1):
        one = sm.ScoreMachine(data, 3, "valid", attention).posterior(noisy, 0.4, label, best=3)
        other = sm.ScoreMachine(known, 3, "valid", attention).posterior(noisy, 0.4, label, best=3)
        assert torch.equal(one.mean, other.mean)
        assert torch.equal(one.sources.image, other.sources.image)
    assert torch.equal(Wiener(data).denoise(noisy, 0.4), Wiener(known).denoise(noisy, 0.4))


def test_a_machine_is_saved_by_reference(tmp_path: Path) -> None:
    folder = written(tmp_path / "x.shards", in_memory(), [9, 9, 5])
    sm.ScoreMachine(sm.TrainingSet.open(folder), 3).save_pretrained(tmp_path / "machine")
    assert not (tmp_path / "machine" / "training_set.safetensors").exists()
    again = sm.ScoreMachine.from_pretrained(tmp_path / "machine")
    assert isinstance(again.data.pixels, ShardedPixels)
    part = sm.TrainingSet.open(folder).subset(slice(0, 5))
    sm.ScoreMachine(part, 3).save_pretrained(tmp_path / "part")
    assert len(sm.ScoreMachine.from_pretrained(tmp_path / "part").data) == 5
    about = Place(str(folder)).manifest()
    replace(about, fingerprint="0" * 64).write(folder)
    with pytest.raises(InputError, match="its contents have changed"):
        sm.ScoreMachine.from_pretrained(tmp_path / "machine")


def flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[-3] ^= 16
    path.write_bytes(held)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "the file is missing"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-7]), "bytes instead of"),
    "flipped": (flip, "its checksum is another one"),
}


@pytest.mark.parametrize("file", ["shard-00001.npy", "shard-00001.labels.npy"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line_that_names_the_file(tmp_path: Path, file: str, damage: str) -> None:
    folder = written(tmp_path / "x.shards", in_memory(), [9, 9, 5])
    spoil, reason = DAMAGE[damage]
    spoil(folder / file)
    with pytest.raises(InputError, match=reason) as error:
        _ = sm.TrainingSet.open(folder).images
    assert file in str(error.value)
    assert "--resume" in str(error.value)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damage_is_found_while_the_set_is_used(tmp_path: Path, damage: str) -> None:
    """Also where the file is mapped already: reading past its end would end the process."""
    folder = written(tmp_path / "x.shards", in_memory(), [9, 9, 5])
    data = sm.TrainingSet.open(folder)
    _ = data.images
    DAMAGE[damage][0](folder / "shard-00001.npy")
    with pytest.raises(InputError, match=DAMAGE[damage][1]):
        _ = data.images
    assert len(data.block(slice(0, 9))) == 9


def test_a_manifest_is_read_with_care(tmp_path: Path) -> None:
    folder = written(tmp_path / "x.shards", in_memory(), [9, 9, 5])
    text = (folder / MANIFEST).read_text()
    about = json.loads(text)
    outside = about["shards"][0] | {"pixels": about["shards"][0]["pixels"] | {"name": "../a.npy"}}
    for changed, reason in (
        ({"version": 2}, "version 2"),
        ({"shape": [3, 4]}, "shape"),
        ({"shape": [3, 4, 10**9]}, "are no images"),
        ({"dtype": "object"}, "are no images"),
        ({"shards": [outside]}, "not a file of a shard"),
        ({"sealed": 9}, "are sealed"),
        ({"sealed": 0}, "not finished"),
        ({"shards": 3}, "a folder that"),
        ({"labelled": False}, "lacks labels"),
    ):
        (folder / MANIFEST).write_text(json.dumps(about | changed))
        with pytest.raises(InputError, match=reason):
            sm.TrainingSet.open(folder)
    (folder / MANIFEST).write_text(text[:200])
    with pytest.raises(InputError, match="a folder that"):
        sm.TrainingSet.open(folder)


def test_a_folder_of_pictures_may_have_a_manifest_of_its_own(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / MANIFEST).write_text('{"name": "a web app"}')
    assert len(sm.TrainingSet.open(tmp_path)) == 1


def test_the_next_shard_is_checked_while_one_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "x.shards", in_memory(), [8, 8, 7])
    pixels = sm.TrainingSet.open(folder).pixels
    assert isinstance(pixels, ShardedPixels)
    pixels.expect(0, 16)
    pixels[0:1]
    for thread in pixels.shards._coming.values():
        thread.join()
    checked = {name for name in pixels.shards._checked if "labels" not in name}
    assert checked == {"shard-00000.npy", "shard-00001.npy"}
    pixels[8:9]
    assert "shard-00002.npy" not in pixels.shards._coming  # nobody expects it
    again = sm.TrainingSet.open(folder)
    (folder / "shard-00001.npy").write_bytes(b"x")
    blocks = iter(Pass(again, 8, None))
    assert torch.equal(next(blocks).images, in_memory().pixels[:8])  # it has not come to that
    with pytest.raises(InputError, match=r"shard-00001.npy': it has 1 bytes"):
        next(blocks)


def test_few_bytes_are_mapped_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAPPED", 2 * 5 * 60)
    data = sm.TrainingSet.open(written(tmp_path / "x.shards", in_memory(), [5, 5, 5, 8]))
    for block in Pass(data, 3, None):
        assert torch.equal(block.images, in_memory().pixels[block.index])
        maps = data.pixels.shards._maps  # type: ignore[union-attr]
        assert len(maps) == 1 or sum(each.nbytes for each in maps.values()) <= 2 * 5 * 60
