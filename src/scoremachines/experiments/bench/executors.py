"""What executors cost beside one process, how they scale, and how fast a large set is read.

Four tables: the overhead of each executor on the same training set; its weak scaling, with one
number of images for each of 1 to 8 workers, which take turns where there are fewer cores; one pass
over a set in shards that is read from the disk; and what follows for sets of millions of images.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from scoremachines.data.executors.processes import Processes
from scoremachines.data.executors.ray_actors import Ray
from scoremachines.data.reduction import Executor, Here, Pass, current_executor, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, numbers, whole
from scoremachines.experiments.bench.at_scale import at_scale
from scoremachines.experiments.bench.processor import core_numbers, cores, processor
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.experiments.bench.stored import FOLDER, measured, stored_set
from scoremachines.experiments.bench.tasks import checked
from scoremachines.experiments.bench.timing import shortest
from scoremachines.experiments.bench.workers import Nothing, memory_of, pin
from scoremachines.io.devices import threads
from scoremachines.io.folders import output_folder
from scoremachines.io.sealed import LEFT, kept, read_json, write_json
from scoremachines.machine.score_machine import ScoreMachine

__all__ = ["FILE", "run"]

FILE = "executors.json"
SECTIONS = ("overhead", "scaling", "stored")
OVERHEAD = ("executor", "workers", "N", "machine", "k", "ᾱ", "seconds", "overhead, ms", "%")
SCALING = ("executor", "workers", "N", "seconds", "efficiency", "MiB each", "shard", "budget")
STORED = ("N", "GB", "opened, s", "files alone, s", "LS, s", "GB/s", "again, s", "peak, MiB")
WORKERS = (1, 2, 4, 8)
FEW = 16
MIB = 2**20
BUDGET = 64 * MIB
"""Bytes above its part of the set that each worker may use while scaling is measured."""
MACHINES = {"ls": "aligned", "els": "valid"}
Row = dict[str, Any]


def run(
    settings: BenchSettings,
    data: TrainingSet,
    output: str | Path,
    *,
    memory: int = 2**30,
    resume: bool = False,
) -> Path:
    """Measure executors, print a line for each measurement, and write a file.

    Beside one process stand the executor that `default_executor` names; without one, `Processes`,
    and `Ray` where it is installed. All take turns, and the shortest time of each counts.

    Args:
        settings: numbers of images, windows, levels, repeats, threads and stored images.
        data: the training set.
        output: folder to write to.
        memory: bytes that an engine may use above the training set.
        resume: go on where a benchmark in that folder stopped.

    Returns:
        The file.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    counts, windows = checked(settings, data)
    if settings.device != "cpu":
        raise InputError("device", settings.device, "cpu, for executors")
    levels = numbers("levels", settings.levels, 0, 1)
    whole("stored", settings.stored, 4)
    few = TrainingSet(data.block(slice(0, counts[-1]), None), name=data.name)
    with output_folder(output, marker=FILE, resume=resume) as folder:
        bench = _Bench(settings, folder, few, memory)
        with threads(bench.threads):
            bench.overheads(min(windows), max(windows), levels)
            bench.scaling(min(windows), levels[0])
        bench.stored(min(windows))
        print("\n".join(["", *at_scale(bench.content["stored"][0])]))
        return folder / FILE


class _Bench:
    """The measurements of one folder.

    Args:
        settings: what to measure.
        folder: where they are written.
        data: the training set.
        memory: bytes that an engine may use above it.
    """

    def __init__(
        self, settings: BenchSettings, folder: Path, data: TrainingSet, memory: int
    ) -> None:
        self.settings, self.folder, self.data, self.memory = settings, folder, data, memory
        self.threads = settings.threads or cores()
        about = f"{processor()}, {self.threads} thread(s); {data.name}, {len(data)} images"
        self.content: dict[str, Any] = {"settings": asdict(settings), "machine": about}
        self.content |= {name: [] for name in SECTIONS}
        path = folder / FILE
        held = kept(path, lambda: _read(path))
        if held is not None:
            if held["settings"] != self.content["settings"]:
                raise InputError("output", path, "the settings that it was begun with")
            self.content |= {name: held[name] for name in SECTIONS}
        write_json(path, self.content)
        print(about, flush=True)
        draw = torch.Generator().manual_seed(settings.seed)
        self.noise = torch.randn((1, *data.shape), generator=draw)

    def add(self, section: str, row: Row, cells: list[str]) -> None:
        """Write a measurement, and print it."""
        self.content[section].append(row)
        write_json(self.folder / FILE, self.content)
        print("| " + " | ".join(cells) + " |", flush=True)

    def machine(
        self, data: TrainingSet, name: str, window: int, executor: Executor, memory: int = 0
    ) -> ScoreMachine:
        """Return a machine."""
        memory, sources = memory or self.memory, MACHINES[name]
        return ScoreMachine(data, window, sources, memory=memory, executor=executor)

    def noisy(self, level: float) -> torch.Tensor:
        """Return the first image under noise."""
        clean = self.data.block(slice(0, 1), torch.float32)
        return level**0.5 * clean + (1 - level) ** 0.5 * self.noise

    def overheads(self, small: int, large: int, levels: list[float]) -> None:
        """Time the same steps by each executor beside one process."""
        _head(OVERHEAD)
        with ExitStack() as stack:
            executors: dict[str, Executor] = {"none": Here()}
            chosen = current_executor()
            if isinstance(chosen, Here):
                for name, make in _makers():
                    executors[name] = stack.enter_context(make(self.threads))
            else:
                executors[type(chosen).__name__.lower()] = chosen
            blocks = Pass(self.data, len(self.data), None)
            empty = {
                name: partial(reduce, Nothing(), blocks, executor)
                for name, executor in executors.items()
            }
            self._compared(executors, empty, {"machine": "", "window": 0, "level": 0.0})
            windows = dict.fromkeys((small, large))
            for name, window, level in [
                *(("ls", window, level) for window in windows for level in levels),
                ("els", small, levels[0]),
            ]:
                works = {
                    each: partial(
                        self.machine(self.data, name, window, executor).denoise,
                        self.noisy(level),
                        level,
                    )
                    for each, executor in executors.items()
                }
                about = {"machine": name, "window": window, "level": level}
                if self._expected(name, window, level) <= self.settings.patience:
                    self._compared(executors, works, about)
                else:
                    print(f"left out: {name}, k = {window}: it takes longer than --patience")

    def _expected(self, name: str, window: int, level: float) -> float:
        """Return about how long a step takes in one process, seconds, by that of a few images."""
        few = TrainingSet(self.data.block(slice(0, FEW), None))
        machine = self.machine(few, name, window, Here())
        seconds = shortest([partial(machine.denoise, self.noisy(level), level)], 2)[0]
        return seconds * len(self.data) / len(few)

    def _compared(
        self, executors: Mapping[str, Executor], works: Mapping[str, Callable[[], Any]], about: Row
    ) -> None:
        about = {"count": len(self.data)} | about
        if any(about.items() <= row.items() for row in self.content["overhead"]):
            return
        for work in works.values():
            work()  # what is as long as the set is sent
        times = shortest(list(works.values()), self.settings.repeat)
        for (name, executor), seconds in zip(executors.items(), times, strict=True):
            more = seconds - times[0]
            workers = getattr(executor, "parts", 1)
            row = {"executor": name, "workers": workers} | about
            row |= {"seconds": seconds, "overhead": more, "share": more / times[0]}
            window, level = about["window"] or "", about["level"] or ""
            cells = [name, workers, len(self.data), about["machine"] or "nothing", window, level]
            cells += [f"{seconds:.4f}", f"{1000 * more:.1f}"]
            share = f"{100 * more / times[0]:.1f}" if about["machine"] else ""
            self.add("overhead", row, [*map(str, cells), share])

    def scaling(self, window: int, level: float) -> None:
        """Time a growing number of workers, with the same number of images for each."""
        if not isinstance(current_executor(), Here):
            return  # it has the workers that it has
        _head(SCALING)
        each = max(1, len(self.data) // max(WORKERS))
        for name, make in _makers():
            for workers in WORKERS:
                about: Row = {"executor": name, "workers": workers}
                if any(about.items() <= row.items() for row in self.content["scaling"]):
                    continue
                few = TrainingSet(self.data.block(slice(0, each * workers), None))
                with make(workers) as executor:
                    row = self._scaled(few, workers, executor, window, level)
                one = [row for row in self.content["scaling"] if row["executor"] == name][:1]
                base = one[0]["seconds"] if one else row["seconds"]
                turns = workers / min(workers, len(core_numbers()))
                row = about | row | {"efficiency": base * turns / row["seconds"]}
                cells = [name, str(workers), str(len(few)), f"{row['seconds']:.3f}"]
                cells.append(f"{row['efficiency']:.2f}")
                cells += [f"{row[key] / MIB:.0f}" for key in ("peak", "shard", "budget")]
                self.add("scaling", row, cells)

    def _scaled(
        self, data: TrainingSet, workers: int, executor: Executor, window: int, level: float
    ) -> Row:
        """Time a step of LS by workers that have one core each, or a share of one."""
        tiny = TrainingSet(data.block(slice(0, 2 * workers), None))
        noisy = self.noisy(level)
        self.machine(tiny, "ls", window, executor, BUDGET).denoise(noisy, level)  # libraries load
        before = memory_of(executor, workers, data, anew=True)
        pinned = pin(list(before), core_numbers())
        work = partial(self.machine(data, "ls", window, executor, BUDGET).denoise, noisy, level)
        work()
        seconds = shortest([work], self.settings.repeat)[0]
        after = memory_of(executor, workers, data, anew=False)
        above = [after[number] - before[number] for number in after.keys() & before.keys()]
        return {
            "count": len(data),
            "seconds": seconds,
            "pinned": pinned,
            "peak": max(above, default=0),
            "shard": data.pixels.nbytes // workers,
            "budget": BUDGET,
        }

    def stored(self, window: int) -> None:
        """Write a set in shards, and read it from the disk; it is deleted afterwards."""
        _head(STORED)
        if self.content["stored"]:
            return
        folder, settings = self.folder / FOLDER, self.settings
        data, writing = stored_set(folder, settings.stored, settings.seed)
        row = measured(folder, window, self.threads, self.memory, settings.seed)
        row |= {"writing": writing, "shards": len(list(folder.glob("shard-*.npy")))}
        size = row["bytes"] / 1e9
        cells = [str(len(data)), f"{size:.2f}", f"{row['opened']:.3f}", f"{row['reading']:.2f}"]
        cells += [f"{row['streamed']:.2f}", f"{size / row['streamed']:.2f}"]
        cells += [f"{row['again']:.2f}", f"{row['peak'] / MIB:.0f}"]
        self.add("stored", row, cells)
        shutil.rmtree(folder)


def _makers() -> Iterator[tuple[str, Callable[[int], Any]]]:
    """Yield executors that can run here, by name, each made from a number of workers."""
    yield "processes", Processes
    with suppress(ImportError):
        import ray  # noqa: F401 - is it installed?

        yield "ray", partial(Ray, None)


def _head(columns: tuple[str, ...]) -> None:
    print("\n| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)


def _read(path: Path) -> dict[str, Any]:
    """Return what was measured so far."""
    held = read_json(path)
    if not (all(isinstance(held.get(name), list) for name in SECTIONS) and "settings" in held):
        raise InputError("output", path, LEFT, "a table is missing")
    return held
