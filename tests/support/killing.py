"""Kills commands at chosen writes and resumes them; a script, so that torch is imported once.

    python killing.py WORK SEED command=kills command=kills …

For each command an undisturbed run shows how many writes there are, and what they come to. Then a
forked process is killed at one of them: when a file is opened to be written, renamed, removed or a
folder made. A file about to take its place is cut short first. What the resumed run leaves must be
the same, byte by byte. Each kill is printed as a line.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from scoremachines.cli import (
    attribute,
    bench,
    calibrate,
    compare,
    consistency,
    demo,
    generate,
    train,
)
from scoremachines.cli import main as cli
from scoremachines.experiments import generate as painting
from scoremachines.experiments.in_folder import demo as painted

SHAPES = ["shapes", "--size", "9x11", "--shapes.feature_size", "2", "--shapes.n", "12"]
NETWORK = ["train", *SHAPES, "--network.width", "8", "--network.receptive_field", "3"]
NETWORK += ["--network.attention", "soft", "--network.key_width", "6", "--batch", "5"]
NETWORK += ["--steps", "6", "--save_every", "2", "--warmup", "2", "--log_every", "2"]
FEW = ["--seeds", "2", "--steps", "2", "--strength", "--predict"]
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DOES = {"open", "os.rename", "os.mkdir", "os.remove"}
COMMANDS = {
    "generate": ["generate", *SHAPES, "--window", "3", "-n", "4", "--batch", "2", "--steps", "4"],
    "train": NETWORK,
    "compare": ["compare", "{network}", "-n", "4", "--batch", "2", "--steps", "2"],
    "calibrate": ["calibrate", "{out}", *FEW],
    "consistency": [
        *("consistency", "-n", "2", "--steps", "1", "--network-steps", "2"),
        *("--training-seeds", "1", "--real", "false", "--workers", "1"),
    ],
    "bench": ["bench", "--sample", "--engines", "torch", "--counts", "8", "--steps", "2"],
    "demo": ["demo"],
    "denoise": [
        *("denoise", *SHAPES, "-n", "2", "--validation", "2", "--windows", "3"),
        *("--widths", "0,0.5", "--sigmas", "0.2,0.8"),
    ],
    "phase": [
        "phase",
        *SHAPES,
        "--windows",
        "3",
        "--counts",
        "4,9",
        "--steps",
        "2",
        "--draws",
        "1",
    ],
    "attribute": ["attribute", "{image}", "--data", "shapes", "--limit", "9", "--windows", "3"],
}
RESUMED = {"generate", "train", "compare", "consistency", "bench", "demo", "denoise", "phase"}


def line_of(name: str, work: Path, out: Path, resume: bool) -> list[str]:
    places = {"network": work / "network", "out": out, "image": work / "image.png"}
    words = [word.format(**places) for word in COMMANDS[name]]
    words += [] if name == "calibrate" else ["-o", str(out)]
    return [*words, "--resume"] if resume and name in RESUMED else words


def carry_out(words: list[str], out: Path, kill_at: int, cut: float, log: Path) -> int:
    """Run a command in a process of its own, killed at a write; return its status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 70
    try:
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        count = watch(out, kill_at, cut)
        status = cli.main(words)
        sys.stdout.flush()
        log.with_suffix(".count").write_text(str(count[0]))
    finally:
        os._exit(status)


def watch(out: Path, kill_at: int, cut: float) -> list[int]:
    """Count this process's writes below a folder, and kill it at one of them."""
    count, below = [0], str(out)

    def heed(event: str, arguments: tuple) -> None:
        if event not in DOES or not isinstance(arguments[0], str | os.PathLike):
            return
        if not os.fspath(arguments[0]).startswith(below):
            return
        if event == "open" and not (arguments[2] or 0) & WRITES:
            return
        count[0] += 1
        if count[0] == kill_at:
            if event == "os.rename" and os.path.isfile(arguments[0]):
                os.truncate(arguments[0], int(cut * os.path.getsize(arguments[0])))
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heed)
    return count


def contents(folder: Path) -> dict[str, object]:
    """Return what a run came to, without what depends on the time."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        timed = path.suffix in (".html", ".pdf") or "tensorboard" in name or name == "bench.png"
        if path.is_dir() or timed or path.name == ".scoremachines.lock":
            continue
        found[name] = path.read_bytes()
        if name == "bench.json":
            steps = json.loads(path.read_text())["samples"][0]["steps"]
            found[name] = [(each["step"], each["level"], each["window"]) for each in steps]
    return found


def try_out(name: str, kills: int, work: Path, draw: random.Random) -> None:
    """Kill a command so many times, each time in a new folder."""
    whole, log = work / f"{name}-whole", work / f"{name}.log"
    if name == "calibrate":
        shutil.copytree(work / "network", whole)
    status = carry_out(line_of(name, work, whole, False), whole, 0, 0, log)
    assert status == 0, log.read_text()
    total, known = int(log.with_suffix(".count").read_text()), contents(whole)
    later = draw.sample(range(4, total + 1), kills)
    early = [1, 2, 3][: kills // 3]
    for kill_at in sorted({*early, *later[: kills - len(early)]}):
        out = work / f"{name}-{kill_at}"
        if name == "calibrate":
            shutil.copytree(work / "network", out)
        cut = draw.random()
        status = carry_out(line_of(name, work, out, False), out, kill_at, cut, log)
        assert status == -signal.SIGKILL, log.read_text()
        status = carry_out(line_of(name, work, out, True), out, 0, 0, log)
        assert status == 0, (name, kill_at, log.read_text())
        found = contents(out)
        wrong = [
            each for each in known.keys() | found.keys() if known.get(each) != found.get(each)
        ]
        assert not wrong, (name, kill_at, wrong)
        assert "Traceback" not in log.read_text()
        shutil.rmtree(out)
        print(f"{name} killed at write {kill_at} of {total}", flush=True)


def main(work: Path, seed: int, wanted: dict[str, int]) -> None:
    torch.set_num_threads(1)
    painting.SAVE_EVERY = 0.0  # every step of an unfinished batch is kept
    settings = replace(painted.DIGITS, limit=20, n=2, steps=2)
    painted.SECTIONS = (("digits", settings, ("none", "tiled"), "Digits."),)
    modules = (attribute, bench, calibrate, compare, consistency, demo, generate, train)
    assert all(modules)  # imported before the first fork
    log = work / "preparing.log"
    if {"compare", "calibrate"} & wanted.keys():
        out = work / "network"
        assert carry_out([*NETWORK, "-o", str(out)], out, 0, 0, log) == 0, log.read_text()
    if "attribute" in wanted:
        out = work / "image"
        words = line_of("generate", work, out, False)
        assert carry_out(words, out, 0, 0, log) == 0, log.read_text()
        shutil.copy(out / "samples" / "0000.png", work / "image.png")
    for name, kills in wanted.items():
        try_out(name, kills, work, random.Random(f"{seed} {name}"))


if __name__ == "__main__":
    pairs = (word.split("=") for word in sys.argv[3:])
    main(Path(sys.argv[1]), int(sys.argv[2]), {name: int(kills) for name, kills in pairs})
