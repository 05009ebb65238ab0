"""A result that is replaced: no full disk takes what stood before, and what comes is on the disk before its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glot_cli.errors import OutputError
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.video_source import Source
from tests.pipeline.made_results import finish, record


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def full_after(count: int, done: Callable[..., Any]) -> Callable[..., Any]:
    """A function that finds the disk full when it is called once more than so often."""
    left = [count]

    def write(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return done(*arguments)

    return write


@pytest.mark.parametrize(("owner", "name", "count"), [(Path, "write_bytes", n) for n in range(3)] + [(os, "fsync", 0)])
def test_a_full_disk_leaves_what_was_to_be_overwritten(
    place: ResultFolder, video: Path, owner: Any, name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames and a record are written, and waited for, before anything that stood there goes."""
    finish(place, video)
    before = contents(place.path)
    with monkeypatch.context() as full:
        full.setattr(owner, name, full_after(count, getattr(owner, name)))
        with pytest.raises(OutputError, match="No space left on device"):
            place.save(record(video), frames=True)
    assert contents(place.path) == before
    place.save(record(video), frames=True)
    assert sorted(contents(place.path)) == ["frames/000000.npz", "frames/000001.npz", "params.npz"]


def test_files_are_on_the_disk_before_they_get_their_names(
    place: ResultFolder, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut, a file system that writes names first would show half a file. Frames are too many."""
    settled: list[int] = []
    fsync = os.fsync

    def noted(number: int) -> None:
        settled.append(os.fstat(number).st_ino)
        assert not os.path.lexists(place.path / "run.json")
        fsync(number)

    monkeypatch.setattr(os, "fsync", noted)
    finish(place, video)
    names = {path.stat().st_ino: path.name for path in place.path.rglob("*")}
    assert [names[number] for number in settled] == ["params.npz", "overlay.mp4", "run.json"]


def test_a_video_that_changed_is_told_from_one_that_is_gone(video: Path) -> None:
    source = Source.of(video)
    assert not source.is_other(video)
    data = video.read_bytes()
    video.unlink()
    assert not source.is_other(video)  # what was read of it stands
    video.write_bytes(data + b"\0")
    assert source.is_other(video)
