"""Sources on the command line: options of arrays, one picture, advice that can be taken."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scoremachines.cli.console import UsedUpError, system_problem
from scoremachines.cli.main import main
from scoremachines.cli.messages import messages_for
from scoremachines.data import open_source
from scoremachines.data.formats.arrays import from_array
from scoremachines.errors import InputError
from scoremachines.experiments.trainings import SHIPPED
from scoremachines.io.advice import Advice

N, H, W = 5, 6, 7
random = np.random.default_rng(0)
REAL = random.random((N, H, W))
BYTES = random.integers(0, 256, (N, H, W), dtype=np.uint8)
COMMANDS = {
    "generate": "generate {} -n 1 --steps 1 --window 3 -o out",
    "train": "train {} -o out --steps 1",
    "compare": f"compare {SHIPPED}/cnn-0 --source {{}} -o out",
    "attribute": "attribute image.png --data {} -o out",
    "bench": "bench --data {} -o out",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sources that need advice, each of its own kind."""
    monkeypatch.chdir(tmp_path)
    np.save("real.npy", REAL)
    np.save("whole.npy", BYTES.astype(np.int64))
    np.save("either.npy", random.integers(0, 256, (N, 3, 6, 4), dtype=np.uint8))
    np.save("columns.npy", random.integers(0, 256, (N, 6, 4), dtype=np.uint8))
    np.savez("named.npz", pictures=BYTES, tags=np.arange(N)[:, None] % 2)
    Image.fromarray(BYTES[0]).save("image.png")
    Path("mixed").mkdir()
    for number in (1, 2):
        Image.fromarray(BYTES[0].repeat(number, 0)).save(f"mixed/{number}.png")
    return tmp_path


BAD = {
    "real.npy": ["--limits=0,1", "--limits=-1,1"],
    "whole.npy": ["--limits=0,255"],
    "either.npy": ["--layout=NCHW", "--layout=NHWC"],
    "columns.npy": ["--layout=NHW"],
    "named.npz": ["--images-key=pictures"],
    "mixed": ["--size=32"],
    "digits --crop tiles": ["--size=32"],
}


def refused(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(command.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("scoremachines: error:")]
    assert len(errors) == 1
    return errors[0]


def options_of(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))


@pytest.mark.parametrize("name", COMMANDS)
def test_what_errors_advise_can_be_done_where_they_are_printed(folder, capsys, name):
    options = options_of(name, capsys)
    assert {"--limits", "--layout", "--images-key", "--labels-key", "--size"} <= options
    for source, advice in BAD.items():
        error = refused(COMMANDS[name].format(source), capsys)
        _, _, accepted = error.partition(" Accepted: ")
        assert re.findall(r"--[a-z][\w-]*=[^\s.]+", accepted) == advice, error
        assert {each.partition("=")[0] for each in advice} <= options
        assert not re.search(r"(?<!-)\b[a-z_]+=", accepted.replace("-key", "")), error
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("source", "option"), [(s, o) for s, each in BAD.items() for o in each])
def test_the_advice_helps(folder, recwarn, source, option):
    option = option.replace("32", "4")
    assert main([*COMMANDS["generate"].format(source).split(), option]) == 0


def test_advice_on_machines_is_spelled_for_the_command_line_too(folder, capsys):
    error = refused("generate digits --machine els --window image --sources valid", capsys)
    assert error.endswith("Accepted: aligned or circular with --window=image.")


def test_less_memory_is_advised_by_the_options_that_are_there():
    for options, advice in ((["size", "batch"], "--size or --batch"), (["memory"], "--memory")):
        with pytest.raises(UsedUpError) as caught, messages_for(options):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        expected = f"memory is used up. Accepted: a smaller {advice}."
        assert system_problem(caught.value) == expected
    with pytest.raises(MemoryError), messages_for(["live"]):
        raise MemoryError


def test_python_gets_its_own_spelling(folder):
    with pytest.raises(InputError, match=r"limits=\(0, 1\) if 0 is black, limits=\(-1, 1\) if"):
        open_source("real.npy")
    advice = Advice("{} or {}", ("limits", (0, 1)), ("best", 4))
    assert advice == "limits=(0, 1) or best=4"
    for again in (advice, pickle.loads(pickle.dumps(advice))):
        assert again.for_options(["limits", "size"]) == "--limits=0,1 or best=4"


def test_arrays_are_opened_by_their_options(folder, recwarn):
    command = "generate {} -n 1 --steps 1 --window 3 -o {}"
    assert main([*command.format("real.npy", "a").split(), "--limits", "0,1"]) == 0
    again = [*command.format("real.npy", "a").split(), "--limits", "0,1", "--resume"]
    assert main(again) == 0
    assert main(["generate", "--config", "a/settings.yaml", "-n", "1", "-o", "b"]) == 0
    assert (folder / "a/grid.png").read_bytes() == (folder / "b/grid.png").read_bytes()
    keys = ["--images-key", "pictures", "--labels-key", "tags", "--class", "1"]
    assert main([*command.format("named.npz", "c").split(), *keys]) == 0
    data = open_source("named.npz", images_key="pictures", labels_key="tags")
    assert data.fingerprint() == from_array(BYTES, np.arange(N) % 2).fingerprint()


def test_an_array_and_pictures_are_held_against_each_other(folder, capsys):
    for number in range(8):
        Path("held").mkdir(exist_ok=True)
        Image.fromarray(np.roll(BYTES[number % N], number)).save(f"held/{number}.png")
    Image.fromarray(BYTES[0]).save("image.png", icc_profile=b"damaged")
    command = "attribute image.png --data {} --held-out {} --limits 0,1 -o out --level 0.5"
    with pytest.warns(UserWarning, match="1 images have a damaged colour profile"):
        assert main(command.format("real.npy", "held").split()) == 0
    with pytest.warns(UserWarning, match="1 images have a damaged colour profile"):
        assert main(command.format("held", "real.npy").split()) == 0
    assert "image=none.png: no such file" in refused("attribute none.png --data held", capsys)


@pytest.mark.parametrize(
    ("source", "option", "why"),
    [
        ("real.npy", "--limits=1", "black and white with a comma"),
        ("real.npy", "--limits=1,0", "in rising order"),
        ("real.npy", "--limits=0,nan", "in rising order"),
        ("real.npy", "--layout=CHWN", "NHW, NHWC, NCHW"),
        ("real.npy", "--images-key=x", "a .npy holds one array"),
        ("named.npz", "--images-key=x", "pictures, tags"),
        ("digits", "--limits=0,1", "digits is a set by name"),
        ("mixed", "--layout=NHW", "need no such setting"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, capsys, source, option, why):
    assert why in refused(f"generate {source} {option} -o out", capsys)


def test_a_file_that_is_one_picture_is_a_source(folder):
    data = open_source("image.png")
    assert (len(data), data.shape, data.names) == (1, (1, H, W), ("image.png",))
    Path("image.png").rename("picture")  # known by what it holds
    assert open_source("picture").fingerprint() == data.fingerprint()
    assert len(open_source("picture", size=3, crop="tiles")) == 4
    assert main(COMMANDS["generate"].format("picture").split()) == 0
    Path("words").write_text("no picture")
    with pytest.raises(InputError, match="not a training set"):
        open_source("words")
