"""Ray: several nodes on this machine, actors that are killed, hang, or lose their node."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import scoremachines as sm
from scoremachines.data.executors.ray_actors import Ray
from scoremachines.data.reduction import Divided, Pass, reduce
from scoremachines.errors import InputError
from scoremachines.machine.covariance import Total
from scoremachines.testing import check_machine
from support.dividing import OnceAt

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes, the second of which tests may end."""
    from ray.cluster_utils import Cluster

    path = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])
    head = {"num_cpus": 1, "object_store_memory": 10**8}
    begun = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        begun.add_node(num_cpus=2, object_store_memory=10**8)
    begun.wait_for_nodes()
    yield begun
    ray.shutdown()
    begun.shutdown()


def training_set() -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2500, 2, 4, 5), generator=draw, dtype=torch.uint8)
    return sm.TrainingSet(pixels, torch.arange(2500) % 2)


def test_machines_have_the_same_bits(cluster: Any, tmp_path: Path) -> None:
    known = training_set()
    noisy = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(1))
    shards = sm.shard(known, tmp_path / "x.shards", shard_size=40 * 700)
    with Ray(cluster.address, workers=3) as executor:
        for attention in ("none", "tiled", "top1-class", "tiled-consensus"):
            for data, label in ((known, None), (shards, None), (known, 1), (shards, 1)):
                machine = sm.ScoreMachine(data, 3, "valid", attention, executor=Divided(3))
                one = machine.posterior(noisy, 0.5, label, best=2)
                machine.executor = executor
                other = machine.posterior(noisy, 0.5, label, best=2)
                assert torch.equal(one.mean, other.mean)
                assert torch.equal(one.sources.image, other.sources.image)
        (tmp_path / "x.shards" / "shard-00002.npy").unlink()
        with pytest.raises(InputError, match=r"shard-00002.npy': the file is missing"):
            machine.posterior(noisy, 0.5, 1)
        images = torch.rand(6, 2, 4, 5, generator=torch.Generator().manual_seed(2)).double()
        check_machine(lambda data: sm.ScoreMachine(data, 3, "valid", "top1"), images, [executor])


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_an_actor_that_dies_or_hangs_changes_nothing(
    cluster: Any, tmp_path: Path, sent: int
) -> None:
    data = training_set()
    known = reduce(Total(), Pass(data, 99), Divided(2))
    with Ray(cluster.address, workers=2, late=3.0) as executor:
        statistic = OnceAt(tmp_path / "mark", sent)
        assert torch.equal(reduce(statistic, Pass(data, 99), executor), known)
        assert (tmp_path / "mark").exists()
        assert torch.equal(reduce(Total(), Pass(data, 99), executor), known)


def test_a_node_that_is_lost_changes_nothing(cluster: Any) -> None:
    data = training_set()
    known = reduce(Total(), Pass(data, 99), Divided(3))
    node = cluster.add_node(num_cpus=3, object_store_memory=10**8)
    cluster.wait_for_nodes()
    with Ray(cluster.address, workers=3) as executor:
        assert torch.equal(reduce(Total(), Pass(data, 99), executor), known)
        cluster.remove_node(node, allow_graceful=False)
        assert torch.equal(reduce(Total(), Pass(data, 99), executor), known)


def test_what_cannot_be_is_refused(cluster: Any) -> None:
    for arguments, named in (({"workers": 0}, "workers"), ({"parts": 0}, "parts")):
        with pytest.raises(InputError, match=named):
            Ray(cluster.address, **arguments)
