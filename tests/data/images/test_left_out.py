"""Nothing is left out of a training set without a word: how many, and why."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scoremachines.cli.main import main
from scoremachines.data import open_source
from scoremachines.data.formats.folder import from_folder
from scoremachines.data.formats.numpy_files import from_numpy
from scoremachines.errors import InputError

H, W = 5, 7
random = np.random.default_rng(0)
COLOUR = random.integers(0, 256, (H, W, 3), dtype=np.uint8)


def fill(folder: Path) -> Path:
    """Two classes of one picture each, and much that is none or that is not read."""
    for name in ("cat/a.png", "dog/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLOUR).save(folder / name)
    (folder / "cat" / "1.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "cat" / "2.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "cat" / "raw.nef").write_bytes(b"MM\0*")
    (folder / "dog" / "photo").write_bytes((folder / "dog" / "b.png").read_bytes())
    (folder / "dog" / "more.zip").write_bytes(b"PK\3\4")
    (folder / "README.txt").write_text("no picture")
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


LEFT = {
    "in a format that is not read (.heic)": 2,
    "in a format that is not read (.nef)": 1,
    "in an archive that is not opened (.zip)": 1,
    "not named as a picture is (no suffix)": 1,
}


def test_pictures_that_are_not_read_are_counted_by_the_reason(tmp_path, capsys):
    folder = fill(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, each.relative_to(folder))
    for source in (folder, tmp_path / "set.zip"):
        with pytest.warns(UserWarning, match=rf"left out of {source}: 2 in a format.*\.heic"):
            data = open_source(source)
        assert data.left_out == LEFT
        assert data.classes == ("cat", "dog")
        assert data.subset([0]).left_out == data.resized(3).left_out == LEFT
    command = ["generate", str(folder), "--window", "3", "-n", "1", "--steps", "1"]
    program = "import sys; from scoremachines.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "-o", str(tmp_path / "out")],
        check=True,
        capture_output=True,
        text=True,
    )
    notes = [line for line in done.stderr.splitlines() if line.startswith("scoremachines: note:")]
    assert notes == [
        f"scoremachines: note: left out of {folder}: 2 in a format that is not read (.heic); "
        "1 in a format that is not read (.nef); 1 in an archive that is not opened (.zip); "
        "1 not named as a picture is (no suffix)"
    ]
    (folder / "cat" / "a.png").unlink()
    (folder / "dog" / "b.png").unlink()
    capsys.readouterr()
    assert main([*command, "-o", str(tmp_path / "two")]) == 2
    assert (
        "there is no image in it; left out: 2 in a format that is not" in capsys.readouterr().err
    )


def test_formats_that_pillow_knows_and_does_not_read_are_counted(tmp_path):
    (tmp_path / "a.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    first, second = Image.new("RGB", (W, H), "white"), Image.new("RGB", (W, H))
    first.save(tmp_path / "stereo.mpo", save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match=r"1 in a format that is not read \(\.eps\)"):
        data = from_folder(tmp_path)
    assert data.names == ("stereo.mpo",)  # a JPEG file, with a second one behind it
    assert data.pixels.unique().tolist() == [255]


AS_NOBODY = """
import os, sys, warnings
from scoremachines.data import open_source
from scoremachines.data.formats import folder
from scoremachines.data.formats import idx
from scoremachines.data.formats import numpy_files
from PIL import Image
Image.init()  # while its files may be read
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    data = open_source(sys.argv[1])
print(data.names)
print(*(each.message for each in caught))
"""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has no users to become")
def test_folders_without_permission_are_counted():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        for name, mode in (("open", 0o755), ("closed", 0o700), ("listed", 0o744)):
            (Path(place) / name).mkdir()
            Image.fromarray(COLOUR).save(Path(place) / name / "a.png")
            (Path(place) / name).chmod(mode if os.getuid() == 0 else mode & 0o055 | mode & 0o400)
        command = [sys.executable, "-c", AS_NOBODY, place]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        if os.getuid() == 0:
            names, warning = done.stdout.splitlines()
            assert names == "('open/a.png',)"
            assert warning == (
                f"left out of {place}: 1 folder unopened (permission denied); "
                "1 unreachable (permission denied)"
            )
        for each in Path(place).iterdir():
            each.chmod(0o755)


def test_arrays_of_a_npz_are_taken_or_named_as_left(tmp_path):
    images, labels = np.stack([COLOUR] * 4), np.array([[2], [0], [1], [1]])
    path = tmp_path / "set.npz"
    for names in (("arr_0", "arr_1"), ("train_images", "train_labels"), ("x", "y")):
        np.savez(path, **dict(zip(names, (images, labels), strict=True)))
        assert open_source(path).labels.tolist() == [2, 0, 1, 1]
    np.savez(path, images, images)
    with pytest.warns(UserWarning, match=r"set\.npz: arr_0 as images; left out: arr_1"):
        assert from_numpy(path).labels is None
    for several in (np.eye(4, dtype=int), np.array([0.5] * 4)):  # several of each, or real
        np.savez(path, images=images, labels=several)
        with pytest.warns(UserWarning, match="images as images; left out: labels"):
            assert from_numpy(path).labels is None
    np.savez(path, images=images, labels=labels[:3])
    with pytest.raises(InputError, match="labels='int64"):
        from_numpy(path)
    other = {"x_train": images, "y_train": labels, "x_test": images[:2], "y_test": labels[1:3]}
    np.savez(path, **other)
    with pytest.warns(UserWarning, match="left out: x_test, y_test"):
        assert len(open_source(path)) == 4
    with pytest.warns(UserWarning, match="x_test as images and y_test as labels; left out"):
        assert open_source(path, images_key="x_test").labels.tolist() == [0, 1]
