"""Does every engine stay within its memory, whatever the attention?

Measures one posterior of four noisy images, sources named, with every engine, attention, kind of
source and size of image, each in a process of its own: the peak above what the process held with
its training set in memory. `adaptive` is asked for x̂0 alone, too, without which it answers
exactly. A budget that cannot be kept is refused, and the line says what is needed.

    python benchmarks/memory.py                      # every case, as a table and memory.json
    python benchmarks/memory.py --engines native --sizes 64 --budgets 256

Linux only: peaks are read from /proc.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import scoremachines as sm
from scoremachines.engines import ENGINES
from scoremachines.errors import InputError
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.specs import attention_names

MIB = 2**20
WINDOWS = {32: 5, 64: 9}


@dataclass(frozen=True)
class Case:
    """One posterior.

    Args:
        engine: its name.
        attention: its name.
        sources: where a patch may come from.
        size: side of the images, pixels.
        window: k, pixels; None for the whole image.
        count: N.
        best: sources named for every pixel.
        budget: MiB.
        threads: that work at once.
        level: ᾱ.
    """

    engine: str
    attention: str
    sources: str
    size: int
    window: int | None
    count: int
    best: int
    budget: int
    threads: int
    level: float = 0.5


def measured(case: Case) -> tuple[int, str]:
    """Return the peak above the training set, bytes, and why there was none, in this process."""
    torch.set_num_threads(case.threads)
    draw = torch.Generator().manual_seed(0)

    def machine(count: int, size: int, window: int | None) -> sm.ScoreMachine:
        pixels = torch.randint(0, 256, (count, 3, size, size), generator=draw, dtype=torch.uint8)
        labels = torch.arange(count) % 3
        budget = (case.budget if size == case.size else 1024) * MIB
        data = sm.TrainingSet(pixels, labels=labels)
        choices = (window, case.sources, case.attention)
        return sm.ScoreMachine(data, *choices, engine=case.engine, memory=budget)

    try:
        # A small one first: libraries load and set up what they need.
        small = machine(9, 7, case.window and 3)
        small.posterior(torch.randn(4, 3, 7, 7, generator=draw), case.level, best=case.best)
        large = machine(case.count, case.size, case.window)
        noisy = torch.randn(4, 3, case.size, case.size, generator=draw)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        large.posterior(noisy, case.level, best=case.best)
    except InputError as error:
        return 0, error.accepted
    return _status("VmHWM") - before, ""


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def _report(case: Case, answer: Any) -> None:
    answer.send(measured(case))


def in_a_child(case: Case, long: float) -> tuple[int | None, str]:
    """Return the same, measured in a process of its own; None if it takes too long."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(case, there))
    child.start()
    there.close()
    try:
        return here.recv() if here.poll(long) else (None, "too long")
    except EOFError:
        return None, "failed"
    finally:
        child.kill()
        child.join()


def cases(given: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases that are asked for."""
    for size, engine, attention, sources, budget in itertools.product(
        given.sizes, given.engines, given.attentions, given.sources, given.budgets
    ):
        windows: list[int | None] = [WINDOWS.get(size, 5)]
        windows += [None] if sources in ("aligned", "circular") else []
        for window in windows:
            places = size**2 if sources != "aligned" and window else 1
            # As many as make the budget the bound, and yet few enough to be done in seconds.
            few = {"torch": 96, "reference": 16}.get(engine, 400)
            few = min(few, 300) if window is None else few
            count = given.images or (few if places > 1 or sources == "circular" else 4000)
            if attention.startswith("top1") and not given.images:
                count = max(8, 2**26 // size**4)
            # Without sources, evidence and mean colours come from one pass.
            for best in (4,) if attention == "none" else (4, 0):
                choices = (engine, attention, sources, size, window, count, best, budget)
                yield Case(*choices, given.threads)
            if engine == "adaptive" and attention == "none":
                for level in (0.5, 0.995):
                    yield Case(
                        engine,
                        attention,
                        sources,
                        size,
                        window,
                        count,
                        0,
                        budget,
                        given.threads,
                        level,
                    )


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    here = [name for name in ENGINES if name not in ("cuda", "auto")]
    wanted.add_argument("--engines", nargs="*", default=here)
    wanted.add_argument("--attentions", nargs="*", default=attention_names())
    wanted.add_argument("--sources", nargs="*", default=list(SOURCES))
    wanted.add_argument("--sizes", nargs="*", type=int, default=[32, 64])
    wanted.add_argument("--budgets", nargs="*", type=int, default=[64, 256], help="MiB")
    wanted.add_argument("--images", type=int, help="training images")
    wanted.add_argument("--threads", type=int, default=1)
    wanted.add_argument("--patience", type=float, default=90, help="seconds for a case")
    wanted.add_argument("-o", "--output", default="memory.json")
    wanted.add_argument("--only-above", action="store_true", help="print what is not within")
    given = wanted.parse_args()
    torch.set_num_threads(1)  # so that processes can be forked
    found = []
    for case in cases(given):
        peak, reason = in_a_child(case, given.patience)
        share = None if peak is None or reason else peak / (case.budget * MIB)
        found.append({**asdict(case), "peak": peak, "share": share, "reason": reason})
        Path(given.output).write_text(json.dumps(found, indent=1) + "\n")
        if not given.only_above or share is None or share > 1:
            window = case.window or "image"
            what = f"{case.size}² k={window} {case.sources} {case.attention} best={case.best}"
            shown = reason if share is None else f"{peak / MIB:.1f} MiB, {share:.2f}"
            print(f"{case.engine:9} {case.budget:4} MiB {what:45} {shown}", flush=True)


if __name__ == "__main__":
    main()
