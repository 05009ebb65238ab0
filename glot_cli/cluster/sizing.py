"""How many workers a machine gets, and what share of its cores, memory and GPUs each has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glot_cli.errors import UsageError

MOST_WORKERS = 1024  # on one machine
WORKER_BYTES = 2 << 30  # a worker needs about 1.4 GB, more for long clips with many people


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        name: by which Ray knows it.
        cpus: cores that it lends.
        gpus: GPUs that it lends.
        memory: bytes that it lends.
    """

    name: str
    cpus: float
    gpus: float
    memory: float


@dataclass(frozen=True)
class Share:
    """What one worker has.

    Attributes:
        node: the name of its machine.
        cpus: cores; a whole number, or a fraction of one.
        gpus: likewise.
        memory: bytes that Ray keeps for it; 0 where whoever says how many workers there are knows what they need.
    """

    node: str
    cpus: float
    gpus: float
    memory: int = 0

    @property
    def threads(self) -> int:
        """How many threads its networks on the CPU, and the arithmetic around them, may have."""
        return max(1, int(self.cpus))


def shares(nodes: Sequence[Node], device: str, workers: int | None, per_gpu: int) -> list[Share]:
    """Divide machines among workers, each evenly.

    Args:
        nodes: the machines.
        device: of the run's options. GPUs are used where there are some and it is not the CPU that is wanted.
        workers: how many there are to be on each; None: as many as there are cores and memory for, or GPUs.
        per_gpu: workers that share a GPU.

    Returns:
        One share a worker.

    Raises:
        UsageError: there is no GPU although one is wanted, or nothing at all.
    """
    if device.startswith("cuda") and not any(node.gpus >= 1 for node in nodes):
        raise UsageError(f"{device} is on no machine of the cluster", option="device")
    on_gpus = device != "cpu" and any(node.gpus >= 1 for node in nodes)
    counts = [_count(node, on_gpus, workers, per_gpu) for node in nodes]
    if not any(counts):
        raise UsageError("no machine of the cluster lends a core", option="ray")
    return [
        Share(
            node.name,
            _part(node.cpus, count),
            1 / per_gpu if on_gpus else 0.0,
            min(WORKER_BYTES, int(node.memory)) if workers is None and not on_gpus else 0,
        )
        for node, count in zip(nodes, counts, strict=True)
        for _ in range(count)
    ]


def _count(node: Node, on_gpus: bool, workers: int | None, per_gpu: int) -> int:
    """How many workers a machine has. Who says how many there are to be knows how large theirs are."""
    if on_gpus:
        most = int(node.gpus) * per_gpu
        return most if workers is None else min(workers, most)
    if node.cpus < 1:
        return 0
    return (
        min(workers, MOST_WORKERS)
        if workers is not None
        else max(1, min(int(node.cpus), int(node.memory // WORKER_BYTES)))
    )


def _part(cpus: float, count: int) -> float:
    """A worker's part of some cores, as Ray counts them: whole ones, or less than one in steps of 0.0001."""
    return float(cpus // count) if cpus >= count else int(cpus / count * 10_000) / 10_000
