"""What is refused before anything is written: records that would overwrite each other, packages that are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glot_cli.api import export
from glot_cli.cli import main
from glot_cli.errors import UsageError
from tests.exporting.made_records import made_record


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[str], list[str]]:
    """Exit status, and the lines of standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, words)])
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out.splitlines(), out.err.splitlines()


def results(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).mkdir(parents=True)
        made_record([(1, 0, range(3))]).save(folder / name / "params.npz")
    return [folder / name for name in names]


def test_records_of_one_name_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = results(tmp_path, "a/clip", "b/clip")
    status, _, lines = told(capsys, first, second, "--format", "csv", "--out", tmp_path / "out")
    assert status == 2 and len(lines) == 1
    assert f"{first} and {second} would both write {tmp_path / 'out' / 'clip'}" in lines[0]
    assert not (tmp_path / "out").exists()
    # As frames of one result, which are called after their video.
    frames = [tmp_path / f"{number:06d}.npz" for number in range(2)]
    for frame in frames:
        made_record([(1, 0, [0])]).save(frame)
    assert told(capsys, *frames, "--format", "csv")[0] == 2
    assert not (tmp_path / "export").exists()
    # With folders of their own they can.
    status, files, _ = told(capsys, first, second, "--format", "motchallenge")
    assert status == 0 and len(files) == 2


def test_formats_whose_files_have_no_name_share_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = results(tmp_path, "a", "b")
    out = tmp_path / "out"
    status, _, lines = told(capsys, first, second, "--format", "motchallenge,ply", "--out", out)
    assert status == 2 and f"would both write {out / 'ply'}" in lines[0] and not out.exists()
    (tmp_path / "c").mkdir()  # what cannot be read is told, and the rest is written
    status, files, lines = told(capsys, first, tmp_path / "c", second, "--format", "motchallenge", "--out", out)
    assert status == 1 and len(files) == 2 and "no such file" in lines[0]


@pytest.mark.parametrize(
    ("name", "package", "module", "extra"),
    [
        ("usd", "pxr", "usd", "usd"),
        ("c3d", "ezc3d", "c3d_points", "c3d"),
        ("parquet", "pyarrow", "parquet_tables", "parquet"),
        ("csv", "matplotlib.figure", "angle_plots", "eval"),
    ],
)
def test_what_is_not_installed_is_said_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    package: str,
    module: str,
    extra: str,
) -> None:
    (record,) = results(tmp_path, "a")
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"glot_cli.exporting.{module}", raising=False)
    plot = extra == "eval"
    status, _, lines = told(capsys, record, "--format", f"motchallenge,{name}", *["--plot"] * plot)
    assert status == 2 and len(lines) == 1 and f"pip install 'glot-cli[{extra}]'" in lines[0]
    assert lines[0].startswith(f"glot: --{'plot' if plot else 'format'}: ")
    with pytest.raises(UsageError):
        export(record, [name], plot=plot)
    assert [path.name for path in record.iterdir()] == ["params.npz"]


def test_files_of_a_sequence_are_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_record([(1, 0, range(60))]).save(tmp_path / "params.npz")
    status, lines, _ = told(capsys, tmp_path, "--format", "openpose,motchallenge")
    assert status == 0 and len(lines) == 2
    assert sum(line.endswith(": 60 files") for line in lines) == 1
