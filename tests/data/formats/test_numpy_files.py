"""`.npy`, `.npz` and IDX files."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scoremachines.data import open_source
from scoremachines.data.formats.arrays import from_array
from scoremachines.data.formats.idx import from_idx
from scoremachines.data.formats.numpy_files import from_numpy
from scoremachines.errors import InputError
from support.pictures import COLOUR, GREY, C, H, N, W, idx


@pytest.mark.parametrize("array", [GREY, COLOUR, COLOUR.transpose(0, 3, 1, 2).copy()])
def test_bytes_in_a_npy_stay_on_disk(tmp_path, array):
    path = tmp_path / "set.npy"
    np.save(path, array)
    data = from_numpy(path)
    expected = from_array(array)
    assert data.fingerprint() == expected.fingerprint()
    assert (data.name, data.location) == ("set", path)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(path) in maps.read_text()
    data.pixels[0] = 0
    assert np.array_equal(np.load(path), array)


def test_real_numbers_in_a_npy_need_limits_like_any(tmp_path):
    np.save(tmp_path / "set.npy", GREY / 255)
    with pytest.raises(InputError, match="if 0 is black"):
        from_numpy(tmp_path / "set.npy")
    data = from_numpy(tmp_path / "set.npy", limits=(0, 1), layout="NHW")
    np.testing.assert_allclose(data.pixels[:, 0].numpy(), GREY / 127.5 - 1, atol=1e-12)


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("x_train", "y_train")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_npz_holds_images_and_labels(tmp_path, keys, save):
    save(tmp_path / "set.npz", **dict(zip(keys, (COLOUR, np.arange(N)), strict=True)))
    data = from_numpy(tmp_path / "set.npz")
    assert data.labels.tolist() == list(range(N))
    assert data.fingerprint() == from_array(COLOUR, np.arange(N)).fingerprint()


def test_a_npz_of_one_unnamed_array_has_no_labels(tmp_path):
    np.savez(tmp_path / "set.npz", GREY)
    assert from_numpy(tmp_path / "set.npz").labels is None
    np.savez(tmp_path / "other.npz", pictures=GREY, more=GREY)
    with pytest.raises(
        InputError, match=r"it holds pictures, more. Accepted: images as images, x"
    ):
        from_numpy(tmp_path / "other.npz")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a file was unpickled",))


def test_nothing_is_unpickled(tmp_path):
    objects = np.array([Trap()] * 3, dtype=object)
    np.save(tmp_path / "set.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "set.npz", images=objects)
    objects.dump(tmp_path / "raw.npy")
    for name in ("set.npy", "set.npz", "raw.npy"):
        with pytest.raises(InputError, match=r"path=.*Accepted: a .npy or .npz file of numbers"):
            from_numpy(tmp_path / name)


def test_a_npy_whose_header_promises_too_much_is_refused(tmp_path):
    path = tmp_path / "set.npy"
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 3, 1000, 1000)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"few")
    with pytest.raises(InputError, match="path="):
        from_numpy(path)
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.write(path, "images.npy")
    with pytest.raises(InputError, match="path="):
        from_numpy(tmp_path / "set.npz")


@pytest.mark.parametrize("name", ["set.npy", "set.npz"])
def test_a_truncated_or_missing_file_is_refused(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match="no such file"):
        from_numpy(path)
    (np.save if name == "set.npy" else np.savez)(path, GREY)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="path="):
        from_numpy(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("labels_packed", [False, True])
def test_idx_files_bring_their_labels(tmp_path, packed, labels_packed):
    images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
    for name, array, pack in (
        (images, GREY, packed),
        (labels, np.arange(N, dtype=np.uint8), labels_packed),
    ):
        raw = idx(array)
        (tmp_path / f"{name}{'.gz' * pack}").write_bytes(gzip.compress(raw) if pack else raw)
    data = from_idx(tmp_path / f"{images}{'.gz' * packed}")
    assert np.array_equal(data.pixels[:, 0].numpy(), GREY)
    assert data.labels.tolist() == list(range(N))
    assert open_source(tmp_path / f"{images}{'.gz' * packed}").fingerprint() == data.fingerprint()


def test_idx_labels_may_be_named_or_missing(tmp_path):
    (tmp_path / "pictures").write_bytes(idx(GREY))
    (tmp_path / "answers").write_bytes(idx(np.arange(N, dtype=np.uint8)))
    assert from_idx(tmp_path / "pictures").labels is None
    data = from_idx(tmp_path / "pictures", tmp_path / "answers")
    assert data.labels.tolist() == list(range(N))
    with pytest.raises(InputError, match=r"labels=.*no such file"):
        from_idx(tmp_path / "pictures", tmp_path / "missing")


def test_idx_files_of_colour_images_are_known_by_their_shape(tmp_path):
    (tmp_path / "colour").write_bytes(idx(COLOUR))
    assert from_idx(tmp_path / "colour").shape == (C, H, W)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no such file"),
        (b"\0\0\x08", "no such file"),
        (b"\0\0\x0d" + idx(GREY)[3:], "no such file"),
        (b"\0\0\x08\x05" + idx(GREY)[4:], "no such file"),
        (idx(GREY)[:9], "truncated"),
        (idx(GREY)[:-1], "truncated|length"),
        (idx(GREY) + b"x", "length"),
        (idx(np.arange(N, dtype=np.uint8)), "this one has 1"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 9) + b"few", "truncated"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 0, 5, 7), "path|images"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, pack, raw, why):
    (tmp_path / "set").write_bytes(pack(raw))
    with pytest.raises(InputError, match=why):
        from_idx(tmp_path / "set")


def test_a_gzip_file_cut_short_is_refused(tmp_path):
    (tmp_path / "set.gz").write_bytes(gzip.compress(idx(GREY))[:-20])
    with pytest.raises(InputError, match="path="):
        from_idx(tmp_path / "set.gz")


def test_idx_labels_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "images-idx3").write_bytes(idx(GREY))
    (tmp_path / "labels-idx1").write_bytes(idx(np.arange(N - 1, dtype=np.uint8)))
    with pytest.raises(InputError, match=r"labels='int64 \[10\]'|labels='uint8 \[10\]'"):
        from_idx(tmp_path / "images-idx3")
