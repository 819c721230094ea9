"""Sets in shards behind addresses: a real object store and a web server, both on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import scoremachines as sm
from scoremachines.data.sharded.place import CACHE
from scoremachines.errors import InputError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def known(tmp_path: Path) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 8, 8), generator=draw, dtype=torch.uint8)
    data = sm.TrainingSet(
        pixels, torch.arange(40) % 2, ("a", "b"), names=list(map(str, range(40)))
    )
    return sm.shard(data, tmp_path / "web" / "x.shards", shard_size=192 * 9)


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; answers 503 to whatever is in `refused`, and counts what it sent."""

    refused: ClassVar[set[str]] = set()
    sent: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name in self.refused:
            self.send_error(503)
            return
        self.sent.append(name)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    Handler.refused, Handler.sent = set(), []
    handler = partial(Handler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x.shards"
        server.shutdown()
        thread.join()


def test_an_address_is_a_training_set(known: sm.TrainingSet, web: str, cache: Path) -> None:
    data = sm.TrainingSet.open(web)
    assert (len(data), data.classes, data.location) == (40, ("a", "b"), web)
    assert not any(name.endswith("0.npy") for name in Handler.sent)  # pixels come when they must
    assert torch.equal(data.block(slice(10, 12)), known.block(slice(10, 12)))
    assert Handler.sent.count("shard-00001.npy") == 1
    assert "shard-00002.npy" not in Handler.sent
    assert torch.equal(data.images, known.images)
    assert data.names is not None
    assert data.names[39] == "39"
    assert data.fingerprint() == known.fingerprint()
    again = sm.open_source(web + "/", limit=7)
    assert torch.equal(again.images, known.images[[i * 40 // 7 for i in range(7)]])
    assert Handler.sent.count("shard-00001.npy") == 1  # it is in the cache
    assert not list(cache.rglob("*partial*"))


def test_a_server_that_refuses_is_one_line(known: sm.TrainingSet, web: str, cache: Path) -> None:
    Handler.refused = {"manifest.json"}
    with pytest.raises(InputError, match=r"source='http://.*503"):
        sm.TrainingSet.open(web)
    Handler.refused = {"shard-00001.npy"}
    data = sm.TrainingSet.open(web)
    with pytest.raises(InputError, match="503"):
        _ = data.images
    Handler.refused = set()
    assert torch.equal(data.images, known.images)  # nothing is lost
    with pytest.raises(InputError, match="source="):
        sm.TrainingSet.open(web.replace("x.shards", "y.shards"))


def test_damage_behind_an_address_is_found(
    known: sm.TrainingSet, web: str, cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "web" / "x.shards" / "shard-00001.npy"
    held = bytearray(path.read_bytes())
    held[-1] ^= 1
    path.write_bytes(held)
    data = sm.TrainingSet.open(web)
    with pytest.raises(InputError, match=r"shard-00001.npy.*checksum"):
        _ = data.images
    held[-1] ^= 1
    path.write_bytes(held)
    assert torch.equal(data.images, known.images)
    (copy,) = cache.rglob("shard-00002.npy")
    copy.write_bytes(copy.read_bytes()[:-5])  # a damaged copy is fetched again
    assert torch.equal(sm.TrainingSet.open(web).images, known.images)


@pytest.mark.parametrize("address", ["nothing://x/y", "://", "s3x://bucket/a"])
def test_kinds_of_addresses_that_there_are_not(address: str, cache: Path) -> None:
    with pytest.raises(InputError, match="source="):
        sm.TrainingSet.open(address)


@pytest.mark.slow
def test_an_object_store(
    known: sm.TrainingSet, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3's protocol, against moto's server."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        store = s3fs.S3FileSystem()
        store.mkdir("bucket")
        store.put(str(tmp_path / "web" / "x.shards"), "bucket/x.shards", recursive=True)
        data = sm.TrainingSet.open("s3://bucket/x.shards")
        assert torch.equal(data.images, known.images)
        machine = sm.ScoreMachine(data, 3, "valid", "tiled-class")
        noisy = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        other = sm.ScoreMachine(known, 3, "valid", "tiled-class")
        assert torch.equal(machine.denoise(noisy, 0.5), other.denoise(noisy, 0.5))
        with pytest.raises(InputError, match="s3://bucket/none"):
            sm.TrainingSet.open("s3://bucket/none.shards")
    finally:
        server.stop()
