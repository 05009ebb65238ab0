"""Data sets come whole or not at all, and take no other's place unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glot_cli.datasets import write_dataset
from glot_cli.datasets.add_dataset import add_dataset
from glot_cli.datasets.dataset import Dataset
from glot_cli.errors import OutputError
from glot_cli.files.atomic import aside_name
from tests.datasets import official_data
from tests.datasets.expected_rows import check

pytestmark = pytest.mark.usefixtures("data_folder")


def test_a_disk_that_is_too_small_is_seen_first(tmp_path: Path, data_folder: Path, monkeypatch: Any) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(write_dataset.shutil, "disk_usage", lambda _: Usage)
    path = official_data.write(tmp_path, "3dpw-val")
    with pytest.raises(OutputError, match=r"own data: has 0\.00 GB free, where .* 0\.00 GB; name another folder with"):
        add_dataset(path, quiet=True)
    assert list(data_folder.iterdir()) == []


FILLS = """
import resource, signal, sys
from glot_cli.cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
main(["data", "add", sys.argv[1]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_disk_that_fills_up(tmp_path: Path, data_folder: Path) -> None:
    """A file may not outgrow 30 kB here, which ends writing as a full disk does."""
    path = official_data.write(tmp_path, "3dpw-val")
    done = subprocess.run([sys.executable, "-c", FILLS, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    stage, said = done.stderr.splitlines()
    assert stage == "glot: 3dpw-val convert, 111 frames" and said.startswith(
        f"glot: {data_folder}: cannot be written ("
    )
    assert "GLOT_DATA" in done.stderr
    assert list(data_folder.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), RuntimeError])
def test_an_end_in_the_middle_leaves_what_was_there(error: Any, tmp_path: Path, data_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val")
    add_dataset(path, quiet=True)
    before = {p.name: p.read_bytes() for p in (data_folder / "3dpw-val").iterdir()}
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: Any) -> None:
            raise error

        patch.setattr("glot_cli.datasets.add_dataset.write_meta", fail)
        with pytest.raises(OutputError if isinstance(error, OSError) else error):
            add_dataset(path, replace=True, quiet=True)
    assert [p.name for p in data_folder.iterdir()] == ["3dpw-val"]
    assert {p.name: p.read_bytes() for p in (data_folder / "3dpw-val").iterdir()} == before


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, data_folder: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = official_data.write(tmp_path, "3dpw-val")
    add_dataset(path, quiet=True)
    old, running = str(aside_name(data_folder / "3dpw-val", "old")), str(aside_name(data_folder / "x"))
    of_the_ended = f"-{os.getpid()}-", f"-{ended.pid}-"
    (data_folder / "3dpw-val").rename(old.replace(*of_the_ended))  # killed between two renamings
    Path(running.replace(*of_the_ended)).mkdir()
    Path(running).mkdir()
    (data_folder / ".mine.part").mkdir()
    add_dataset(official_data.write(tmp_path, "3dpw-test"), quiet=True)
    left = sorted(p.name for p in data_folder.iterdir())
    assert left == sorted([Path(running).name, ".mine.part", "3dpw-test", "3dpw-val"])
    assert len(Dataset.open("3dpw-val")) == 111


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path, data_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val", seed=1)
    add_dataset(path, quiet=True)
    other = official_data.write(tmp_path, "3dpw-val", seed=2)
    with pytest.raises(OutputError, match="3dpw-val: is there already; give another name, or"):
        add_dataset(other, quiet=True)
    check(Dataset.open("3dpw-val"), official_data.arrays_of("3dpw-val", seed=1))
    held = Dataset.open("3dpw-val")
    add_dataset(other, replace=True, quiet=True)
    check(Dataset.open("3dpw-val"), official_data.arrays_of("3dpw-val", seed=2))
    check(held, official_data.arrays_of("3dpw-val", seed=1))  # who has it open keeps what it had
    assert [p.name for p in data_folder.iterdir()] == ["3dpw-val"]
    (data_folder / "photos").mkdir()
    with pytest.raises(OutputError, match="something else than a data set"):
        add_dataset(other, "photos", replace=True, quiet=True)


def test_a_data_set_that_lies_elsewhere_is_replaced_here(tmp_path: Path, data_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val")
    add_dataset(path, quiet=True)
    (data_folder / "3dpw-val").rename(tmp_path / "elsewhere")
    (data_folder / "3dpw-val").symlink_to(tmp_path / "elsewhere")
    assert len(Dataset.open("3dpw-val")) == 111
    add_dataset(path, replace=True, quiet=True)
    assert not (data_folder / "3dpw-val").is_symlink() and (tmp_path / "elsewhere" / "meta.json").is_file()
    assert [p.name for p in data_folder.iterdir()] == ["3dpw-val"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, data_folder: Path) -> None:
    data_folder.write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be written .*GLOT_DATA"):
        add_dataset(official_data.write(tmp_path, "3dpw-val"), quiet=True)
