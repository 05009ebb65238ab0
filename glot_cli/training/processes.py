"""The processes that share a training: one, or those that `torchrun` started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from glot_cli.errors import UsageError
from glot_cli.training.config import TrainConfig


class Processes:
    """The processes that share a training, seen from one of them.

    Args:
        device: the one that this process works on.
        rank: which of them this is.
        count: of all.
    """

    def __init__(self, device: str = "cpu", rank: int = 0, count: int = 1) -> None:
        self.device = torch.device(device)
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def parts(self, config: TrainConfig) -> int:
        """How many parts a batch has.

        Raises:
            UsageError: the processes cannot share them evenly, or a batch has fewer windows.
        """
        parts = config.parts or self.count
        if parts % self.count:
            reason = f"parts = {parts} cannot be shared by {self.count} processes"
            raise UsageError(reason, remedy="set parts to a multiple")
        if parts > config.batch_size:
            reason = f"a batch of {config.batch_size} windows has no {parts} parts"
            raise UsageError(reason, remedy="raise batch_size")
        return parts

    def mine(self, parts: int) -> range:
        """Those that this process works on."""
        return range(self.rank, parts, self.count)

    def shared(self, module: nn.Module, find_unused: bool) -> nn.Module:
        """The module, its gradients averaged over all processes."""
        if self.count == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, find_unused_parameters=find_unused)

    def averaged(self, figures: dict[str, float]) -> dict[str, float]:
        """Means over all processes; every process must give the same names."""
        if self.count == 1:
            return figures
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(values)
        return dict(zip(figures, (values / self.count).tolist(), strict=True))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """This process among those that torchrun started, alone without it.

    Args:
        device: cpu, cuda (then each takes its own) or any other that torch knows.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(device, dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
