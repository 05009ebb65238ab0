"""Workers on Ray: actors that stay, one to a share of a machine, each with a process that runs clips.

Ray finds the machines, starts actors, starts them again where they or their machines die, and carries what is said. How
often a clip is tried is counted by the ledger, here in the driver.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from glot_cli.cluster.clip_process import ClipProcess
from glot_cli.cluster.ledger import Ledger, Report, Work
from glot_cli.cluster.sizing import Node, Share, shares
from glot_cli.errors import GlotError, UsageError, one_line

# Ray reads these when it is imported, or when it starts here. Nothing is reported to its makers; and a machine that is
# busy may take minutes until Ray's helpers answer, where 30 seconds are the rule. Where memory gets short, Ray would
# end all workers of the machine, whatever each of them has; the system ends the one process that has most.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402  (it reads the above)
from ray.exceptions import OutOfMemoryError, RayError  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

_STARTS = 4  # tries to start Ray here: it gives itself 30 seconds, which a busy machine exceeds
_STORE = 80 << 20  # bytes that Ray keeps for objects, the least it takes: what travels here is a line a clip
_LOOK_SECONDS = 5.0  # between looks for machines that have come
_STEP_SECONDS = 0.5  # the longest that nothing is told
_MOST_FAULTS = 3  # of a worker that cannot run clips, until it is given up
_MOST_STARTS = 20  # of a worker that dies before it can: each ends another one, so that a machine may go under it


class Hand:
    """A worker, as an actor. Holds no network itself: nothing that a clip does ends it.

    Args:
        begin: the arguments of `ClipProcess`.
    """

    def __init__(self, begin: dict[str, Any]) -> None:
        self._begin = begin
        self._process: ClipProcess | None = None
        self._node_id: str = ray.get_runtime_context().get_node_id()
        self._node = f"{socket.gethostname()}/{self._node_id[:8]}"

    def ready(self) -> tuple[str, str | None]:
        """Have a process that can run clips; returns Ray's name of the machine, and why there can be none."""
        if self._process is None:
            process = ClipProcess(**self._begin)
            if process.fault:
                return self._node_id, f"{self._node}: {process.fault}"
            self._process = process
        return self._node_id, None

    def run(self, job: dict[str, Any]) -> Report:
        """What becomes of a clip."""
        if self._process is None:  # Ray has started this worker again since it got ready
            return {"state": "unready", "node": self._node}
        report = self._process.run(job)
        if report["state"] == "died":
            self._process = None
        return {"node": self._node, **report}


@dataclass(eq=False)
class Handle:
    """A worker as the driver sees it.

    Attributes:
        actor: Ray's.
        node: the machine that it is on, or was when it was last heard of.
        is_ready: whether it can be given a clip.
        faults: how many times in a row it could not.
    """

    actor: Any
    node: str
    is_ready: bool = False
    faults: int = 0


class Pool:
    """The workers of a batch.

    Args:
        begin: the arguments of `ClipProcess`, but for the threads.
        device: of the run's options.
        workers: how many there are to be on each machine; None: as many as fit.
        per_gpu: workers that share a GPU.
        patience: seconds until there is a machine that can work.
        split: clips may be cut, so that there is work for more workers than clips.
    """

    def __init__(
        self,
        begin: dict[str, Any],
        device: str,
        workers: int | None,
        per_gpu: int,
        patience: float,
        split: bool = False,
    ) -> None:
        self._split = split
        self._give_up = time.monotonic() + patience
        self._begin, self._device, self._workers, self._per_gpu = begin, device, workers, per_gpu
        self._handles: list[Handle] = []
        self._pending: dict[Any, tuple[Handle, Work | None]] = {}  # None: it gets ready
        self._nodes: set[str] = set()
        self._fault: str | None = None
        self._actor = ray.remote(Hand)

    @property
    def at_work(self) -> int:
        """How many workers can be given clips."""
        return sum(handle.is_ready for handle in self._handles)

    def work(self, ledger: Ledger, job_of: Callable[[Work], dict[str, Any]], tell: Callable[[int], None]) -> None:
        """Work until every clip has an outcome.

        Args:
            ledger: the clips.
            job_of: what a worker is told of what it is to do.
            tell: called twice a second or more often, with the number of workers.

        Raises:
            UsageError: no machine lends what is asked for.
            GlotError: no worker can run clips.
        """
        looked = -_LOOK_SECONDS
        while ledger.left:
            if time.monotonic() - looked >= _LOOK_SECONDS:
                self._grow(ledger.left)
                looked = time.monotonic()
            for handle in self._idle():
                work = ledger.next()
                if work is None:
                    break
                self._pending[handle.actor.run.remote(job_of(work))] = handle, work
            if not self._handles and self._fault:
                raise GlotError(f"no worker can run clips ({self._fault})", remedy="see to it on that machine")
            if self._pending:
                for reference in ray.wait(list(self._pending), timeout=_STEP_SECONDS)[0]:
                    self._take(ledger, reference)
            else:  # no machine has come yet, or what is left waits for folders in which others are at work
                time.sleep(_STEP_SECONDS)
            tell(self.at_work)

    def _idle(self) -> list[Handle]:
        busy = {id(handle) for handle, _ in self._pending.values()}
        return [handle for handle in self._handles if handle.is_ready and id(handle) not in busy]

    def _take(self, ledger: Ledger, reference: Any) -> None:
        """Take down what a worker answers, or that it is dead."""
        handle, work = self._pending.pop(reference)
        try:
            answer = ray.get(reference)
        except RayError as error:
            if work is not None:
                ledger.settle(work, {"state": "died", **_why(error)})
            else:
                self._fault, handle.faults = _why(error)["error"], handle.faults + 1
            self._make_ready(handle)
            return
        if work is not None:
            ledger.settle(work, answer)
            if answer["state"] in ("died", "unready"):
                self._make_ready(handle)
            return
        handle.node, fault = answer
        if fault is None:
            handle.is_ready, handle.faults = True, 0
        else:
            self._fault, handle.faults = fault, handle.faults + 1
            self._make_ready(handle)

    def _make_ready(self, handle: Handle) -> None:
        """Have a worker get ready, again if it dies meanwhile; until then it has no clip."""
        handle.is_ready = False
        if handle.faults >= _MOST_FAULTS:
            self._handles.remove(handle)
            ray.kill(handle.actor)
            return
        ready = handle.actor.ready.options(max_task_retries=_MOST_STARTS).remote()
        self._pending[ready] = handle, None

    def _grow(self, left: int) -> None:
        """Put workers on machines that have come. Those of machines that went start on others, where there is room."""
        alive = {node.name: node for node in _nodes()}
        new = [node for name, node in alive.items() if name not in self._nodes]
        if not new:
            return
        try:
            found = shares(new, self._device, self._workers, self._per_gpu)
        except UsageError:  # they have no core, or no GPU, to lend: others have, or will have
            if not self._handles and time.monotonic() >= self._give_up:
                raise
            found = []
        homeless = sum(handle.node not in alive for handle in self._handles)
        room = len(found) if self._split else left - len(self._handles)
        for share in found[: max(0, min(len(found) - homeless, room))]:
            self._handles.append(handle := Handle(self._started(share), share.node))
            self._make_ready(handle)
        if self._handles:
            self._nodes |= alive.keys()

    def _started(self, share: Share) -> Any:
        actor = self._actor.options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            memory=share.memory,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(share.node, soft=True),
        )
        return actor.remote({**self._begin, "threads": share.threads})


def _why(error: RayError) -> dict[str, Any]:
    """How a worker died. Its clip ran in another process, so that it was not the clip, but for want of memory."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line for line in lines if "ray::" not in line), "")
    last = lines[-1] if len(lines) > 1 and "Error" in lines[-1] else ""
    return {
        "crashed": isinstance(error, OutOfMemoryError),
        "error": ": ".join(part[:200] for part in (type(error).__name__, last or first) if part),
    }


def _nodes() -> list[Node]:
    """The machines that are there."""
    listed: Any = ray.nodes  # has no types
    found = [(node["NodeID"], node["Resources"]) for node in listed() if node["Alive"]]
    return [Node(name, has.get("CPU", 0.0), has.get("GPU", 0.0), has.get("memory", 0.0)) for name, has in found]


def connect(address: str | None) -> None:
    """Join the Ray that runs at an address, or start one on this machine, for as long as this process lives.

    Raises:
        GlotError: it is not there, or does not start.
    """
    with _signals_kept():
        _connect(address)


def _connect(address: str | None) -> None:
    if address is not None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError, RayError) as error:
            remedy = "start Ray there, and call glot on one of its machines"
            raise GlotError(f"Ray at {address} cannot be reached ({one_line(error)})", remedy=remedy) from error
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for start in range(1, _STARTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                object_store_memory=_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except Exception as error:  # Ray's Node raises no other kind
            ray.shutdown()
            too_long = "AF_UNIX" in str(error)
            if start == _STARTS or too_long:
                remedy = "set TMPDIR to a folder with a short path" if too_long else "end other programs"
                raise GlotError(f"Ray does not start here ({one_line(error)})", remedy=remedy) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Signals do after the block what they did before it: Ray takes SIGTERM for itself, and ends without unwinding."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def disconnect() -> None:
    """Leave Ray; one that was started here ends, and all workers of this process do."""
    ray.shutdown()
