"""The explorer's responses as JSON, computed once and cached."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from scoremachines._version import __version__
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.explore.encoding import pack, pack_images, pack_trace
from scoremachines.explore.opened_run import Subject
from scoremachines.explore.playground import answer, few, read_question
from scoremachines.explore.summaries import about_data, about_image, choices, verdicts_of
from scoremachines.explore.trace import Trace, follow, windows_at
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.positions import PERIODIC

__all__ = ["SHOWN", "BusyError", "Service"]

SHOWN = 240
"""How many samples of a run are shown."""
AT_ONCE = 256
"""How many training images may be requested at once."""
KEPT = 400
"""How many traces are kept."""
WAITING = 64
"""How many live questions may wait for their answer; more are refused for the moment."""


class BusyError(Exception):
    """Too many requests at once: to be repeated in a moment."""


class _Task:
    """A trace on its way: how far it is, and what came out."""

    def __init__(self) -> None:
        self.done, self.total = 0, 0
        self.future: Future[dict[str, Any]] = Future()

    def step(self, done: int, total: int) -> None:
        self.done, self.total = done, total


class Service:
    """Data of one run for its page; safe to be used from many threads at once.

    Args:
        subject: the run.
        live: how many training images live recomputation uses at most; 0 turns it off.
    """

    def __init__(self, subject: Subject, live: int = 200) -> None:
        self.subject, self.live = subject, live
        data = subject.data
        self.few = None if data is None or live < 1 else few(data, live)
        self._worker = ThreadPoolExecutor(1, "explore")
        self._live = ThreadPoolExecutor(1, "live")
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._lock = threading.Lock()
        self._overview: dict[str, Any] | None = None
        self._tasks: OrderedDict[tuple[str, int], _Task] = OrderedDict()

    def close(self) -> None:
        """Stop computing."""
        for worker in (self._worker, self._live):
            worker.shutdown(wait=False, cancel_futures=True)

    def overview(self) -> dict[str, Any]:
        """Return what the page shows first: the samples, and what can be requested."""
        with self._lock:
            if self._overview is None:
                self._overview = self._first_look()
            return self._overview

    def _first_look(self) -> dict[str, Any]:
        subject = self.subject
        data, reader = subject.data, subject.reader
        images = subject.images[:SHOWN]
        channels, height, width = images.shape[1:]
        return {
            "version": __version__,
            "title": subject.title,
            "shape": [channels, height, width],
            "steps": subject.course.steps,
            "samples": pack_images(images),
            "count": len(subject.images),
            "labels": [subject.course.label(number) for number in range(len(images))],
            "verdicts": verdicts_of(images, data),
            "machines": [{"name": name, "title": title} for name, title in subject.titles.items()],
            "own": subject.own,
            "beside": subject.beside,
            "data": None if data is None else about_data(data),
            "live": self._choices(),
            "periodic": reader is not None and PERIODIC[reader.sources],
            "notices": list(subject.notices),
            "settings": subject.settings,
            "command": subject.command,
        }

    def _choices(self) -> dict[str, Any] | None:
        data, reader = self.subject.data, self.subject.reader
        if self.few is None or reader is None or data is None:
            return None
        return choices(data, reader, len(self.few))

    def training(self, places: Sequence[int]) -> dict[str, Any]:
        """Return training images.

        Args:
            places: in the training set.

        Returns:
            The images, their names and their classes.

        Raises:
            InputError: there are no such images, or too many are requested.
        """
        data = self._known_data()
        if not places or len(places) > AT_ONCE:
            raise InputError("index", f"{len(places)} numbers", f"1 to {AT_ONCE} numbers")
        for place in places:
            if not 0 <= place < len(data):
                raise InputError("index", place, f"numbers from 0 to {len(data) - 1}")
        index = torch.tensor(list(places))
        return {
            "index": list(places),
            "images": pack_images(data.block(index).cpu()),
            "names": [
                f"image {place}" if data.names is None else data.names[place] for place in places
            ],
            "labels": None if data.labels is None else pack(data.labels[index]),
        }

    def _known_data(self) -> TrainingSet:
        if self.subject.data is None:
            raise InputError("data", None, "a run whose training set can be reached")
        return self.subject.data

    def trace(self, name: str, sample: int) -> dict[str, Any]:
        """Return a sample's trace, or how far it has come; never waits.

        Args:
            name: of the denoiser.
            sample: number of the sample.

        Returns:
            `{"ready": True, "trace": …}` or `{"ready": False, "done": …, "total": …}`.

        Raises:
            InputError: there is no such denoiser or sample, or they do not go together.
        """
        task = self._task(name, sample)
        if task.future.done():
            return {"ready": True, "trace": task.future.result()}
        return {"ready": False, "done": task.done, "total": task.total}

    def preview(self, name: str, sample: int) -> dict[str, Any] | None:
        """Return what the run itself holds of a sample: its end; None where it holds nothing.

        Args:
            name: of the denoiser.
            sample: number of the sample.

        Returns:
            A trace of one step.

        Raises:
            InputError: there is no such denoiser or sample.
        """
        self._check(name, sample)
        stored = self.subject.stored.get(name)
        if stored is None or sample >= len(stored):
            return None
        trace = self._stored_trace(name, sample)
        return pack_trace(trace) | about_image(trace.image, None, self.subject.data)

    def finished(self, name: str, sample: int) -> dict[str, Any]:
        """Return a sample's trace when it is done; see `trace`.

        Args:
            name: of the denoiser.
            sample: number of the sample.

        Returns:
            The trace.

        Raises:
            InputError: as `trace`.
        """
        return self._task(name, sample).future.result()

    def _check(self, name: str, sample: int) -> None:
        subject = self.subject
        if name not in subject.titles:
            raise InputError("machine", name, ", ".join(subject.titles))
        count = min(SHOWN, len(subject.images))
        whole("sample", sample, 0, count - 1)

    def _task(self, name: str, sample: int) -> _Task:
        self._check(name, sample)
        key = (name, sample)
        with self._lock:
            task = self._tasks.get(key)
            if task is None:
                task = self._tasks[key] = _Task()
                self._worker.submit(self._compute, task, name, sample)
            self._tasks.move_to_end(key)
            old = [key for key, task in self._tasks.items() if task.future.done()]
            for each in old[: max(0, len(self._tasks) - KEPT)]:
                del self._tasks[each]
        return task

    def _compute(self, task: _Task, name: str, sample: int) -> None:
        try:
            task.future.set_result(self._computed(name, sample, task.step))
        except Exception as error:  # the client receives it
            task.future.set_exception(error)

    def _computed(
        self,
        name: str,
        sample: int,
        on_step: Callable[[int, int], None],
    ) -> dict[str, Any]:
        subject = self.subject
        stored = subject.stored.get(name)
        known = stored[sample] if stored is not None and sample < len(stored) else None
        read = False
        if subject.data is None:
            trace = self._stored_trace(name, sample)
        else:
            denoiser = subject.make(name)
            read = not isinstance(denoiser, ScoreMachine)
            trace = follow(denoiser, sample, subject.course, subject.reader, on_step)
        # Whether the sources are not the denoiser's own, but those that a machine reads.
        packed = pack_trace(trace) | {"read": read}
        return packed | about_image(trace.image, known, subject.data)

    def _stored_trace(self, name: str, sample: int) -> Trace:
        """Return what the run itself holds of a sample: its end."""
        subject = self.subject
        if name not in subject.stored:
            raise InputError("machine", name, ", ".join(subject.stored))
        image = subject.stored[name][sample]
        posterior = subject.posterior if name == subject.own else None
        chosen = slice(sample, sample + 1)
        return Trace(
            image=image,
            alpha_bar=[1.0],
            time=[0.0],
            windows=windows_at(subject.reader, [1 / subject.course.steps]),
            noisy=None,
            clean=image[None],
            posterior=None if posterior is None else posterior.at(chosen),
            attended=None,
        )

    def recompute(self, content: Any) -> dict[str, Any]:
        """Answer a live question; see `live.Question`.

        Args:
            content: the question, as JSON.

        Returns:
            A trace of one step.

        Raises:
            InputError: the question cannot be answered.
            BusyError: too many wait already.
        """
        data, reader, places = self._known_data(), self.subject.reader, self.few
        if places is None or reader is None:
            raise InputError("live", self.live, "a page opened with live recomputation")
        question = read_question(content, data)
        if not self._waiting.acquire(blocking=False):
            raise BusyError
        try:
            best = self.subject.course.best
            trace = self._live.submit(answer, question, data, places, reader, best).result()
        finally:
            self._waiting.release()
        return pack_trace(trace) | about_image(trace.image, None, data)
