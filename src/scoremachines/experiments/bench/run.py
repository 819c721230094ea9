"""A benchmark: one process for each task, results written as they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import make_engine
from scoremachines.engines.native.engine import native_instructions
from scoremachines.experiments.bench.child import LONG
from scoremachines.experiments.bench.children import FailedError, child_lines
from scoremachines.experiments.bench.figure import draw
from scoremachines.experiments.bench.processor import cores, processor
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.experiments.bench.table import HEAD, row, summary
from scoremachines.experiments.bench.tasks import BASELINE, Task, checked, engines, tasks
from scoremachines.io.devices import threads
from scoremachines.io.files import reading
from scoremachines.io.folders import output_folder
from scoremachines.io.sealed import LEFT, kept, read_json, write_json, write_tensors
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.runs.estimate import announce, run_seconds
from scoremachines.theory.locality import parse_window

__all__ = ["run"]

RESULTS = "bench.json"
MEASURED = {"engine", "machine", "window", "count", "level", "seconds"}
"""What is read of each measurement of an earlier run."""
PIXELS = "pixels.safetensors"


def run(
    settings: BenchSettings,
    data: TrainingSet,
    output: str | Path,
    *,
    memory: int = 2**30,
    sample: bool = False,
    resume: bool = False,
) -> Path:
    """Measure, print a line for each measurement, and write a file and a figure.

    Args:
        settings: what to measure.
        data: the training set.
        output: folder to write to.
        memory: bytes that an engine may use above the training set.
        sample: measure a whole sample on all images instead.
        resume: go on where a benchmark in that folder stopped.

    Returns:
        The file, `bench.json`.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    counts, windows = checked(settings, data)
    names, left_out = engines(settings)
    with output_folder(output, marker=RESULTS, resume=resume) as folder:
        bench = _Bench(settings, folder, data, memory)
        bench.read()
        try:
            write_tensors(folder / PIXELS, {"pixels": data.block(slice(0, None), None)})
            print("\n".join([*left_out, bench.about(), "", *HEAD]), flush=True)
            if sample:
                for name in names:
                    if name != BASELINE:
                        bench.sample(name)
            else:
                planned = list(tasks(settings, names, counts, windows))
                few = [task for task in planned if task.count == counts[0]]
                for task in few:
                    bench.measure(task)
                more = planned[len(few) :]
                bench.announce(more)
                for task in more:
                    bench.measure(task)
        finally:
            (folder / PIXELS).unlink(missing_ok=True)
        print("\n".join(["", *summary(bench.results)]))
        draw(bench.results, folder / "bench.png")
        return folder / RESULTS


class _Bench:
    """The measurements of one folder."""

    def __init__(
        self, settings: BenchSettings, folder: Path, data: TrainingSet, memory: int
    ) -> None:
        self.settings, self.folder, self.data, self.memory = settings, folder, data, memory
        self.threads = settings.threads or cores()
        self.results: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []

    def read(self) -> None:
        """Take over what an earlier run measured."""
        path = self.folder / RESULTS
        held = kept(path, lambda: _read(path))
        if held is not None:
            self.results, self.samples = held["results"], held["samples"]
        self.write()

    def write(self) -> None:
        """Write what is known so far, whole or not at all."""
        content = {
            "settings": asdict(self.settings),
            "machine": self.machine(),
            "results": self.results,
            "samples": self.samples,
        }
        write_json(self.folder / RESULTS, content)

    def machine(self) -> dict[str, Any]:
        """Return what the times depend on."""
        device = self.settings.device
        return {
            "processor": processor(),
            "threads": self.threads,
            "instructions": native_instructions(),
            "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
            "torch": torch.__version__,
            "data": self.data.name,
            "images": [len(self.data), *self.data.shape],
        }

    def about(self) -> str:
        """Return a line on the machine and the images."""
        about = self.machine()
        size = "×".join(map(str, about["images"]))
        where = about["gpu"] or f"{about['processor']}, {self.threads} threads"
        return (
            f"{where}; torch {about['torch']}; {about['data']}, {size}; float32, one noisy image"
        )

    def announce(self, left: list[Task]) -> None:
        """Print how long some tasks will take, judging by fewer images, if that is long."""
        each = [
            self._expected(task, level)
            for task in left
            for level in task.levels
            if not self._measured(task, level)
        ]
        known = [seconds for seconds in each if 0 < seconds <= self.settings.patience]
        repeat = self.settings.repeat
        total = sum(seconds if seconds > LONG else repeat * seconds for seconds in known)
        announce(total, f"{len(known)} measurements on more images")

    def measure(self, task: Task) -> None:
        """Measure what has not been measured yet."""
        wanted: list[float] = []
        late: list[float] = []
        for level in task.levels:
            if not self._measured(task, level):
                (late if self._expected(task, level) > self.settings.patience else wanted).append(
                    level
                )
        for level in late:
            seconds = self._expected(task, level)
            reason = f"not measured: about {seconds:.0f} s by the time of fewer images"
            if seconds == float("inf"):
                reason = "not measured: nor were fewer images"
            self._add(task.record(level) | {"seconds": None, "reason": reason})
        if not wanted:
            return
        request = asdict(task) | {"levels": wanted}
        try:
            for line in self._lines(request):
                self._add(task.record(line.pop("level")) | line)
        except FailedError as failure:
            done = [
                known["level"] for known in self.results if _same(task.record(0), known, "level")
            ]
            for level in wanted:
                if level not in done:
                    self._add(task.record(level) | {"seconds": None, "reason": str(failure)})

    def sample(self, name: str) -> None:
        """Time one whole sample on all images, step by step."""
        self._announce_sample(name)
        request = {"engine": name, "sample": True, "count": len(self.data)}
        request |= {"schedule": self.settings.schedule, "steps": self.settings.steps}
        steps: list[dict[str, Any]] = []
        try:
            for line in self._lines(request):
                steps.append(line)
                print(
                    f"{name}: step {line['step']:>2} ᾱ={line['level']:.4f} k={line['window']} "
                    f"{line['seconds']:8.1f} s {line['bytes'] / 2**20:6.0f} MiB",
                    flush=True,
                )
        except FailedError as failure:
            print(f"{name}: {failure}")
        self.samples.append({"engine": name, "count": len(self.data), "steps": steps})
        self.write()

    def _announce_sample(self, name: str) -> None:
        """Print how long a whole sample will take, if that is long; not for a GPU."""
        settings = self.settings
        if settings.device != "cpu":
            return
        window, engine = parse_window(settings.schedule), make_engine(name, self.memory)
        with threads(self.threads):
            machine = ScoreMachine(self.data, window, engine=engine)
            seconds = run_seconds([machine], 1, settings.steps)
        announce(seconds, f"{name}, {settings.steps} steps, {len(self.data)} training images")

    def _add(self, result: dict[str, Any]) -> None:
        self.results.append(result)
        self.write()
        print(row(result, self.results), flush=True)

    def _measured(self, task: Task, level: float) -> bool:
        return any(_same(task.record(level), known) for known in self.results)

    def _expected(self, task: Task, level: float) -> float:
        """Return how long a measurement may take, seconds, judging by fewer images; else 0."""
        known = [
            other
            for other in self.results
            if _same(task.record(level), other, "count") and other["count"] < task.count
        ]
        if not known:
            return 0.0
        last = max(known, key=lambda other: other["count"])
        seconds = last["seconds"]
        return float("inf") if seconds is None else seconds * task.count / last["count"]

    def _lines(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a task in a process of its own, and yield what it measured."""
        settings = self.settings
        request = request | {
            "pixels": str(self.folder / PIXELS),
            "threads": self.threads,
            "memory": self.memory,
        }
        for name in ("repeat", "tolerance", "device", "seed"):
            request[name] = getattr(settings, name)
        return child_lines("child", request)


def _read(path: Path) -> dict[str, Any]:
    """Return what a benchmark has measured so far, after checking what is read of it."""
    held = read_json(path)
    with reading("output", path, LEFT):
        for each in held["results"]:
            if not each.keys() >= MEASURED or not (each["seconds"] is None or each["seconds"] > 0):
                raise ValueError("a measurement is incomplete or out of range")
        if not all({"engine", "count", "steps"} <= each.keys() for each in held["samples"]):
            raise ValueError("a sample is incomplete")
    return held


def _same(task: dict[str, Any], known: dict[str, Any], without: str = "") -> bool:
    names = [name for name in task if name != without]
    return all(task[name] == known[name] for name in names)
