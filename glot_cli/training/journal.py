"""What a training writes down as it goes: a line of JSON, and points for TensorBoard where that is installed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any

from glot_cli.files.atomic import whole

log = logging.getLogger(__name__)

LOG = "log.jsonl"


class Journal:
    """Figures by update. Lines that a killed run wrote after its last checkpoint are dropped when it goes on.

    Args:
        out: folder to write to; None writes nothing (the other processes of a run).
        update: where the run stands.
    """

    def __init__(self, out: Path | None, update: int) -> None:
        self.out, self.update = out, update
        self._lines: Any = None
        self._board: Any = None

    def __enter__(self) -> Journal:
        if self.out is None:
            return self
        path = self.out / LOG
        if path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _stands(line, self.update)]
            with whole(path) as aside:
                aside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._lines = path.open("a", encoding="utf-8")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            log.info("no TensorBoard files are written; pip install 'glot-cli[train]' for them")
        else:
            self._board = SummaryWriter(str(self.out / "tensorboard"), purge_step=self.update or None)
        return self

    def write(self, update: int, figures: dict[str, float]) -> None:
        """Figures of an update, by name."""
        if self._lines is None:
            return
        self._lines.write(json.dumps({"update": update, **figures}) + "\n")
        self._lines.flush()
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name.replace(".", "/", 1), value, update)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in (self._lines, self._board):
            if file is not None:
                file.close()


def _stands(line: str, update: int) -> bool:
    """Whether a line was written up to an update; one that a kill cut off was not."""
    try:
        return int(json.loads(line)["update"]) <= update
    except (ValueError, KeyError, TypeError):
        return False
