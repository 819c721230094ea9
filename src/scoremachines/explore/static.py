"""The page complete in one file, for sending to somebody who has no run (theory §6.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scoremachines.errors import InputError, whole
from scoremachines.explore.encoding import pack, pack_images, unpack
from scoremachines.explore.html import render_static
from scoremachines.explore.service import Service
from scoremachines.report import write_html

__all__ = ["FILE_BYTES", "write_static"]

FILE_BYTES = 9_500_000
"""The file stays below this size: what is needed least is left out until it does."""
IMAGES_SHARE = 0.2
"""Share of the file that training images may take."""
LEVELS = ((0.0, False), (0.0, True), (0.02, True), (0.1, True), (0.3, True), (1.1, True))
"""Tried until all fits: the weight below which sources and places are left out, the first one of
each pixel excepted, and whether weights and entropies are kept in one byte instead of two."""


def write_static(
    service: Service,
    path: str | Path,
    samples: int = 16,
    machines: Sequence[str] = (),
    on_trace: Callable[[int, int], None] | None = None,
    limit: int = FILE_BYTES,
) -> Path:
    """Write the page of a run into one HTML file that needs no server.

    Args:
        service: answers for the run.
        path: the file.
        samples: how many samples to include, from the first.
        machines: names of the denoisers; by default the run's own and the one beside it.
        on_trace: called after every trace with the number done and the number of all.
        limit: bytes that the file is to stay below.

    Returns:
        The file.

    Raises:
        InputError: a machine cannot be evaluated, not even one sample fits, or the file cannot be
            written.
    """
    subject = service.subject
    names = list(dict.fromkeys(machines or filter(None, (subject.own, subject.beside))))
    overview = service.overview() | {"live": None}
    count = min(samples, overview["samples"]["shape"][0])
    whole("samples", samples, 1)
    if subject.data is None:
        names = [subject.own]
    traces: dict[str, Any] = {}
    for number in range(count):
        for name in names:
            traces[f"{name}/{number}"] = service.finished(name, number)
            if on_trace is not None:
                on_trace(len(traces), count * len(names))
    overview["beside"] = next((name for name in names if name != subject.own), None)
    for least, coarse in LEVELS:
        kept = {key: _cleared(trace, least, coarse) for key, trace in traces.items()}
        html = _document(service, overview, kept, limit)
        if len(html.encode()) <= limit:
            return write_html(html, Path(path))
    while count > 1:
        count -= 1
        kept = {key: each for key, each in kept.items() if int(key.rpartition("/")[2]) < count}
        html = _document(service, overview, kept, limit)
        if len(html.encode()) <= limit:
            return write_html(html, Path(path))
    raise InputError("samples", samples, f"images of which one fits into {limit} bytes")


def _document(
    service: Service, overview: dict[str, Any], traces: dict[str, Any], limit: int
) -> str:
    data = {
        "overview": overview,
        "traces": traces,
        "training": _training(service, traces, overview, int(IMAGES_SHARE * limit)),
    }
    return render_static(service.subject.title, data)


def _training(
    service: Service, traces: dict[str, Any], overview: dict[str, Any], room: int
) -> dict[str, Any]:
    """Return names and classes of the training images spoken of, and pixels of those that fit.

    Those that weigh most come first.
    """
    data = service.subject.data
    if data is None:
        return {"index": [], "images": None, "names": [], "labels": None}
    weigh: Counter[int] = Counter()
    for trace in traces.values():
        if trace["sources"] is not None:
            image, weight = (unpack(trace["sources"][name]) for name in ("image", "weight"))
            total = np.bincount(
                image[image >= 0].ravel(), weight[image >= 0].ravel(), minlength=len(data)
            )
            weigh.update({int(i): float(total[i]) for i in np.unique(image[image >= 0])})
    first = [*overview["data"]["some"]]
    first += [near["index"] for trace in traces.values() for near in trace["nearest"] or ()]
    order = list(dict.fromkeys([*first, *(index for index, _ in weigh.most_common())]))
    fitting = max(1, room // int(np.prod(data.shape)))
    index = torch.tensor(order)
    return {
        "index": order,
        "images": pack_images(data.block(index[:fitting]).cpu()),
        "names": [f"image {i}" if data.names is None else data.names[i] for i in order],
        "labels": None if data.labels is None else pack(data.labels[index]),
    }


def _cleared(trace: dict[str, Any], least: float, coarse: bool) -> dict[str, Any]:
    """Return a trace without sources and places whose weight is below `least`, the first kept.

    Args:
        trace: as the service answers it.
        least: the weight.
        coarse: keep weights and entropies in one byte.

    Returns:
        The trace, with fewer numbers.
    """
    if not coarse:
        return trace
    changed = dict(trace)
    for group, name in (("sources", "image"), ("attended", "place")):
        part = trace[group]
        if part is None or 0 in part[name]["shape"]:
            continue
        weight = unpack(part["weight"])
        kept = weight * part["weight"]["scale"] >= least
        kept[:, :1] = True
        new = {name: pack(np.where(kept, unpack(part[name]), -1))}
        if group == "sources":
            new["position"] = pack(np.where(kept, unpack(part["position"]), 0))
        new["weight"] = _coarse(np.where(kept, weight, 0), part["weight"]["scale"])
        changed[group] = part | new
    if trace["entropy"] is not None:
        changed["entropy"] = _coarse(unpack(trace["entropy"]), trace["entropy"]["scale"])
    return changed


def _coarse(values: NDArray[Any], scale: float) -> dict[str, Any]:
    """Return numbers of two bytes in one, with their new scale."""
    return pack(np.round(values / 257).astype(np.uint8)) | {"scale": 257 * scale}
