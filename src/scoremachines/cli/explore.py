"""`scoremachines explore`: a run as a page, served on this machine or written into one file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from scoremachines.engines import AutoEngine
from scoremachines.engines.auto import limit_threads
from scoremachines.errors import InputError, whole
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service, write_static
from scoremachines.io.files import is_folder
from scoremachines.runs.estimate import announce, run_seconds
from scoremachines.theory.specs import MachineSpec

__all__ = ["explore"]

OTHERS = 20
"""How many ports after the one that is taken are tried."""


def explore(
    run: str,
    *,
    network: str | None = None,
    output: str | None = None,
    samples: int = 16,
    machines: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 8765,
    live: int = 200,
) -> Path | None:
    """Serve the page of a run until interrupted, or write it into a file.

    Args:
        run: folder of `scoremachines generate` or `scoremachines compare`.
        network: folder of a network to set beside it.
        output: HTML file to write; None to serve.
        samples: how many samples the file holds.
        machines: which machines the file holds, besides the run's own; by default one.
        host: address to bind to; any but the loopback's demands a token.
        port: 0 for any that is free.
        live: how many training images live recomputation uses at most; 0 turns it off.

    Returns:
        The file, if one was written.

    Raises:
        InputError: there is no such run, or the file or the address cannot be used.
    """
    limit_threads(AutoEngine())  # which recomputes
    whole("live", live)
    if output is not None:
        return _write(run, network, Path(output), samples, machines)
    if not is_folder("run", run):
        open_run(run, network)  # raises what is wrong
    desk = Desk(lambda: Service(open_run(run, network), live))
    server = Server(desk, host, port, others=OTHERS if port else 0)
    with server:
        if port and server.server_address[1] != port:
            print(f"note: port {port} is taken; this is the next", file=sys.stderr)
        try:
            for notice in server.desk.service().subject.notices:
                print(f"note: {notice}", file=sys.stderr)
        except InputError as error:
            print(f"scoremachines: the page will say: {error}", file=sys.stderr)
        print(f"page: {server.address}", flush=True)
        print("Ctrl-C stops it.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
    return None


def _write(
    run: str, network: str | None, output: Path, samples: int, machines: Sequence[str]
) -> Path:
    subject = open_run(run, network)
    for notice in subject.notices:
        print(f"note: {notice}", file=sys.stderr)
    names = [subject.own, *(str(MachineSpec.parse(name)) for name in machines)] if machines else []
    service = Service(subject, live=0)
    machines_shown = names or [name for name in (subject.own, subject.beside) if name]
    if subject.data is not None:
        count, course = min(samples, len(subject.images)), subject.course
        made = [subject.make(name) for name in machines_shown if name in subject.titles]
        what = f"{count} samples × {len(made)} machines × {course.steps} steps, with their sources"
        announce(run_seconds(made, count, course.steps, course.best), what)
    with tqdm(desc="following", unit="trace", delay=2) as progress:

        def on_trace(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.n)

        path = write_static(service, output, samples, names, on_trace)
    service.close()
    print(f"page: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return path
