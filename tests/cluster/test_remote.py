"""Clips and results at URLs: fetched whole, published whole, nothing of others replaced."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

from glot_cli.cluster.clip_process import run_clip
from glot_cli.cluster.remote import exists, fetch, is_url, joined, publish, scratch
from glot_cli.errors import InputError, OutputError
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.run import Runner
from tests.documents import ROOT

CLIP = ROOT / "examples" / "clip.mp4"


@pytest.fixture
def store() -> fsspec.AbstractFileSystem:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return memory


def test_what_is_a_url() -> None:
    assert is_url("s3://a/b") and is_url("file:///a") and not is_url("/a://b") and not is_url("C:\\a")
    assert joined("s3://a/b/", "x/y") == "s3://a/b/x/y" and joined("/a", "x/y") == "/a/x/y"


def test_files_and_folders_come_whole(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    store.pipe({"/films/a.mp4": b"film", "/films/stills/1.png": b"one", "/films/stills/2.png": b"two"})
    assert fetch("memory://films/a.mp4", tmp_path).read_bytes() == b"film"
    assert {p.name: p.read_bytes() for p in fetch("memory://films/stills", tmp_path).iterdir()} == {
        "1.png": b"one",
        "2.png": b"two",
    }
    with pytest.raises(InputError, match=r"memory://films/none\.mp4: no such file"):
        fetch("memory://films/none.mp4", tmp_path)
    with pytest.raises(InputError, match="nosuch://a: cannot be opened"):
        fetch("nosuch://a", tmp_path)
    assert exists("memory://films/a.mp4") and not exists("memory://films/b.mp4")


def test_the_report_goes_first_and_comes_last(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe({"/r/a/run.json": b"old", "/r/a/params.npz": b"old", "/r/a/overlay.mp4": b"old"})
    (tmp_path / "frames").mkdir()
    for name in ("run.json", "params.npz", "frames/1.npz"):
        (tmp_path / name).write_bytes(b"new")
    done: list[str] = []
    for act in ("put_file", "rm_file"):
        real = getattr(type(store), act)

        def noted(self: object, *paths: str, act: str = act, real: object = real, **how: object) -> None:
            done.append(f"{act} {paths[-1].removeprefix('/r/a/')}")
            real(self, *paths, **how)  # type: ignore[operator]

        monkeypatch.setattr(type(store), act, noted)
    publish(tmp_path, "memory://r/a", {"run.json", "params.npz", "overlay.mp4"}, "run.json")
    assert done == [
        "rm_file run.json",
        "put_file frames/1.npz",
        "put_file params.npz",
        "put_file run.json",
        "rm_file overlay.mp4",
    ]
    with pytest.raises(OutputError, match=r"memory://r/a/frames/1\.npz: is in the way"):
        publish(tmp_path, "memory://r/a", {"run.json", "params.npz"}, "run.json")


def test_scratch_goes_also_that_of_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "mine").mkdir()
    with scratch() as room:
        (room / "file").touch()
        dead = room.with_name(room.name.replace(f"glot-{os.getpid()}-", f"glot-{gone.pid}-"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (dead / "inner").mkdir(parents=True)
    with scratch():
        assert not dead.exists()


def test_results_at_urls_are_those_of_a_run(store: fsspec.AbstractFileSystem, tmp_path: Path, load_once: None) -> None:
    short = {"start": 0.0, "end": 0.5, "render": False, "device": "cpu", "quiet": True}
    runner = Runner(Options(**short))  # type: ignore[arg-type]
    local = run_clip(runner, str(CLIP), str(tmp_path / "local"), known=False, overwrite=False)
    assert local["state"] == "done" and local["people"] == 1 and local["stages"]["lift"] > 0
    store.put_file(str(CLIP), "/films/clip.mp4")
    ask = {"video": "memory://films/clip.mp4", "folder": "memory://results/clip", "known": False, "overwrite": False}
    report = run_clip(runner, **ask)  # type: ignore[arg-type]
    assert {**report, "seconds": 0, "stages": 0} == {**local, "seconds": 0, "stages": 0}
    names = {path.removeprefix("/results/clip/") for path in store.find("/results/clip")}
    assert names == {path.relative_to(tmp_path / "local").as_posix() for path in (tmp_path / "local").rglob("*.*")}
    store.get_file("/results/clip/params.npz", str(tmp_path / "params.npz"))
    with np.load(tmp_path / "params.npz") as far, np.load(tmp_path / "local" / "params.npz") as near:
        assert [name for name in near if name != "meta" and not np.array_equal(far[name], near[name])] == []
    before = store.modified("/results/clip/run.json")
    assert run_clip(runner, **ask)["state"] == "skipped"  # type: ignore[arg-type]
    assert run_clip(runner, **{**ask, "known": True}) == {"state": "skipped"}  # type: ignore[arg-type]
    assert store.modified("/results/clip/run.json") == before
    store.pipe_file("/results/clip/params.npz", b"mine")
    spoilt = run_clip(runner, **ask)  # type: ignore[arg-type]
    assert spoilt["state"] == "failed" and "in the way" in spoilt["error"]
    assert store.cat_file("/results/clip/params.npz") == b"mine"
    missing = run_clip(runner, "memory://films/none.mp4", str(tmp_path / "none"), known=False, overwrite=False)
    assert missing["state"] == "failed" and "no such file" in missing["error"]
    shutil.rmtree(tmp_path / "local")
