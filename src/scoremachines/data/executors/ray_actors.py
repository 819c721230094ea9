"""Parts of a training set on a Ray cluster, whose workers may die or hang."""

from __future__ import annotations

import logging
import socket
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.executors.answers import LATE, answers
from scoremachines.data.executors.job import Job, Packer, unpacked
from scoremachines.data.reduction import Pass, Reductions, merge_parts
from scoremachines.errors import InputError, one_line, whole

__all__ = ["Ray"]

LOG = logging.getLogger(__name__)
ANSWERS = 5.0
"""Seconds within which the head of a cluster answers."""
SMALL = 2**16
"""Bytes up to which a job goes along with each call, and not by way of the object store."""
RETRIES = 3
"""How often Ray computes a part again after the actor that held it has died."""


class Ray:
    """Parts by actors of Ray, each of which holds its part of the training set.

    An actor opens the shards of its part itself, from the set's folder or address; a set in memory
    is put into Ray's object store once. Ray begins an actor that dies again on another node, where
    it reads its shards again; a part that is late is asked of another actor, too, and the one that
    was late is replaced. One actor has one processor.

    Args:
        address: of a cluster: "auto" or that of its head; None for one that begins here and ends
            with this process, or that `ray.init` has joined already.
        workers: how many actors; by default one for each processor of the cluster.
        parts: into how many parts the images are divided, which decides how sums are rounded; by
            default one an actor.
        late: seconds after which a part may be asked for again.

    Raises:
        InputError: Ray is not installed, there is no such cluster, or `workers` or `parts` is not
            a whole number of at least 1.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        parts: int | None = None,
        late: float = LATE,
    ) -> None:
        workers = None if workers is None else whole("workers", workers, 1)
        divided = None if parts is None else whole("parts", parts, 1)
        self.ray, own, dashboard = _joined(address, workers)
        resources = self.ray.cluster_resources()
        self.workers = workers or max(1, int(resources.get("CPU", 1)))
        self.parts, self.late = divided or self.workers, late
        self._actors = [self._begun() for _ in range(self.workers)]
        self._packer: Packer[Any] = Packer(lambda _, array: self.ray.put(array), _nothing)
        self._end = weakref.finalize(self, _end, self.ray, self._actors, own)
        nodes = sum(each["Alive"] for each in self.ray.nodes())
        LOG.info("ray: %d workers on %d node(s)%s", self.workers, nodes, dashboard)

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        parts = [each.bounds for each in blocks.parts(self.parts)]
        packed = self._packer.pack(Job.of(reductions, blocks))
        given = packed, dict(self._packer.handles)
        job = given if len(packed) < SMALL else self.ray.put(given)
        placed = list(self._actors)

        def ask(number: int, attempt: int) -> Future[Any]:
            actor = placed[(number * self.workers // len(parts) + attempt) % self.workers]
            future: Future[Any] = actor.value.remote(job, parts[number]).future()
            return future

        try:
            lost = (self.ray.exceptions.RayActorError,)
            values, overtaken = answers(len(parts), ask, self.late, lost)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from None
            raise
        except self.ray.exceptions.RayError as error:
            accepted = "a cluster whose workers can be begun again"
            raise InputError("executor", "ray", accepted, one_line(error)) from error
        for number in overtaken:
            place = number * self.workers // len(parts)
            self.ray.kill(self._actors[place])
            self._actors[place] = self._begun()
        yield merge_parts(reductions, values)

    def _begun(self) -> Any:
        """Return a new actor."""
        options = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": RETRIES}
        return self.ray.remote(**options, scheduling_strategy="SPREAD")(_Worker).remote()

    def close(self) -> None:
        """End the actors, and the cluster if it began here."""
        self._end()

    def __enter__(self) -> Ray:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """Computes parts; keeps what is as long as the training set."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.kept: dict[str, Tensor] = {}
        self.latest: tuple[bytes, Job] | None = None

    def value(self, given: tuple[bytes, dict[str, Any]], part: tuple[int, int]) -> list[Any]:
        """Return the values of a job's reductions for a part."""
        packed, handles = given
        if self.latest is None or self.latest[0] != packed:
            self.kept = {key: kept for key, kept in self.kept.items() if key in handles}
            self.latest = packed, unpacked(packed, lambda key: self._found(key, handles[key]))
        return self.latest[1].value(part)

    def _found(self, key: str, handle: Any) -> Tensor:
        if key not in self.kept:
            import ray

            array: np.ndarray = ray.get(handle)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it cannot be written to, and is not
                self.kept[key] = torch.from_numpy(array)
        return self.kept[key]


def _joined(address: str | None, workers: int | None) -> tuple[Any, bool, str]:
    """Return Ray, whether a cluster was begun or joined here, and where its dashboard is."""
    try:
        import ray
    except ImportError as error:
        accepted = "none or processes; Ray comes with: pip install 'scoremachines[ray]'"
        raise InputError("executor", "ray", accepted, "Ray is not installed") from error
    if ray.is_initialized():
        return ray, False, ""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            context = ray.init("local", num_cpus=workers, include_dashboard=None, **quiet)
        else:
            _reached(address)
            context = ray.init(address, **quiet)
    except Exception as error:
        accepted = "auto, or the address of the head of a cluster that runs"
        raise InputError("address", address, accepted, one_line(error)) from error
    url = getattr(context, "dashboard_url", None)
    return ray, True, f"; dashboard at http://{url}" if url else ""


def _reached(address: str) -> None:
    """Refuse an address where nobody answers; Ray would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address != "auto":
        if not (host and port.isdigit()):
            raise ValueError("it has the form host:port")
        socket.create_connection((host, int(port)), ANSWERS).close()


def _nothing(_: object) -> None:
    """Let go of a handle: Ray counts them."""


def _end(ray: Any, actors: list[Any], own: bool) -> None:
    if not ray.is_initialized():
        return
    for each in actors:
        ray.kill(each)
    if own:
        ray.shutdown()
