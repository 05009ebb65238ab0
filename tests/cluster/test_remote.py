"""Clips and results at URLs: fetched whole, published whole, nothing of others read, replaced or removed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from glot_cli.cluster.clip_process import run_clip
from glot_cli.cluster.ledger import Report
from glot_cli.cluster.remote import check_place, exists, fetch, is_url, joined, place_of, scratch
from glot_cli.errors import InputError
from glot_cli.files.atomic import aside_name
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.report import Outcome
from glot_cli.pipeline.run import Runner
from glot_cli.pipeline.video_source import Source
from tests.documents import ROOT
from tests.pipeline.made_results import finish, record

CLIP = ROOT / "examples" / "clip.mp4"
NAMES = ["frames/000000.npz", "frames/000001.npz", "overlay.mp4", "params.npz", "run.json"]


class Killed(BaseException):
    """The end of a process."""


class RoughFileSystem(LocalFileSystem):  # type: ignore[misc]
    """Files that are there as soon as the first byte is put, as with sftp, and names that are not taken twice."""

    protocol = "rough"

    def mv(self, path1: str, path2: str, **how: object) -> None:
        if os.path.lexists(self._strip_protocol(path2)):
            raise FileExistsError(path2)
        super().mv(path1, path2, **how)


fsspec.register_implementation("rough", RoughFileSystem, clobber=True)


@pytest.fixture
def store() -> fsspec.AbstractFileSystem:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return memory


@dataclass
class Storage:
    """A storage that notes what is done to it, and where whoever does it dies at the act of a number."""

    url: str
    acts: list[str] = field(default_factory=list)
    last: int = 0

    def __post_init__(self) -> None:
        self.system, self.root = fsspec.url_to_fs(self.url)

    def act(self, name: str, real: Callable[..., object], paths: tuple[str, ...], how: dict[str, object]) -> object:
        of = paths[0] if name == "get_file" else paths[-1]  # of the storage, not of this machine
        self.acts.append(f"{name} {of.removeprefix(self.root + '/')}")
        if len(self.acts) == self.last:
            if name == "put_file" and isinstance(self.system, RoughFileSystem):
                Path(paths[1]).write_bytes(Path(paths[0]).read_bytes()[:7])
            raise Killed
        return real(self.system, *paths, **how)

    def files(self) -> dict[str, bytes]:
        found = {path: self.system.cat_file(path) for path in self.system.find(self.root)}
        return {path.removeprefix(f"{self.root}/"): content for path, content in found.items()}


@pytest.fixture(params=["memory", "rough"])
def storage(
    request: pytest.FixtureRequest,
    store: fsspec.AbstractFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Storage]:
    one = Storage("memory://results/clip" if request.param == "memory" else f"rough://{tmp_path}/results/clip")
    kind = type(one.system)
    for name in ("put_file", "get_file", "rm_file", "makedirs") + ("mv",) * (request.param == "rough"):
        real = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda self, *paths, n=name, r=real, **how: one.act(n, r, paths, how))
    yield one


@dataclass
class MadeRuns:
    """Stands in for a runner: keeps the rules of the folder, and makes its results without networks."""

    options: Options = field(default_factory=Options)
    meanwhile: Callable[[], object] = lambda: None
    fault: Exception | None = None

    def run(self, video: Path, folder: Path) -> Outcome:
        place = ResultFolder(folder, Source.of(video))
        place.refuse_other_content()
        report = place.report()
        whole = report and report["finished"] and place.has("params.npz") and place.has("overlay.mp4")
        skipped = bool(whole and place.has_frames(2) and not self.options.overwrite)
        if not skipped:
            with place.held():
                self.meanwhile()
                if self.fault:
                    place.save(record(video), frames=False)
                    raise self.fault
                finish(place, video)
        return Outcome(video, folder, 2, 2, 3.0, skipped=skipped, warnings=[f"{video}: is dark"])


def kept(storage: Storage, video: Path, runs: MadeRuns | None = None, overwrite: bool = False) -> Report:
    """Run a clip whose result is kept in a storage."""
    storage.acts.clear()
    return run_clip(runs or MadeRuns(), str(video), storage.url, known=False, overwrite=overwrite)  # type: ignore[arg-type]


def test_what_is_a_url() -> None:
    assert is_url("s3://a/b") and is_url("file:///a") and not is_url("/a://b") and not is_url("C:\\a")
    assert joined("s3://a/b/", "x/y") == "s3://a/b/x/y" and joined("/a", "x/y") == "/a/x/y"


@pytest.mark.skipif(os.name == "nt", reason="paths of other systems")
def test_urls_of_this_machines_disk_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "a%20b [1]::c"
    odd.write_text("x")
    assert [place_of(f"{kind}://{odd}") for kind in ("file", "local")] == [str(odd)] * 2  # nothing is decoded
    (found,) = fsspec.open_files(f"file://{tmp_path}/a%20*")
    assert place_of(f"file://{found.path}") == str(odd)
    monkeypatch.chdir(tmp_path)
    assert place_of("file:///a/b/") == "/a/b" and place_of("file://x/*.mp4") == str(tmp_path / "x/*.mp4")
    others = ["s3://a/b/", "sftp://file://", "a/file://b", "/a", "a b", "memory://x", ""]
    assert [place_of(other) for other in others] == others


def test_no_result_is_kept_in_the_memory_of_a_process() -> None:
    with pytest.raises(InputError, match="memory://a/b: is in the memory of one process"):
        check_place("memory://a/b")
    for place in ("s3://memory/a", "sftp://host/a", "/memory://a", "memory"):
        check_place(place)


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
    store.pipe({"/odd/..": b"x"})
    with pytest.raises(InputError, match=r"'\.\.' is no name of a file"):
        fetch("memory://odd", tmp_path)
    assert exists("memory://films/a.mp4") and not exists("memory://films/b.mp4")


def test_the_record_comes_first_and_the_report_goes_first_and_comes_last(storage: Storage, video: Path) -> None:
    assert kept(storage, video)["state"] == "done" and sorted(storage.files()) == NAMES
    order = ["params.npz", "frames/000000.npz", "frames/000001.npz", "overlay.mp4", "run.json"]
    rough = isinstance(storage.system, RoughFileSystem)
    came = [act.split()[-1] for act in storage.acts if act.startswith("mv" if rough else "put_file")]
    assert came == order
    before = storage.files()
    assert kept(storage, video)["state"] == "skipped" and storage.files() == before
    assert {act.split()[0] for act in storage.acts} == {"get_file"}
    assert kept(storage, video, overwrite=True)["state"] == "done" and sorted(storage.files()) == NAMES
    acts = [act for act in storage.acts if act.split()[0] in ("put_file", "rm_file")]
    gone = [act.split()[1] for act in acts if act.startswith("rm_file")]
    assert gone[0] == "run.json" and sorted(gone) == sorted(NAMES if rough else set(NAMES) - {"params.npz"})
    assert acts.index("rm_file overlay.mp4") < next(n for n, act in enumerate(acts) if act.startswith("put_file"))


@pytest.mark.parametrize("earlier", [False, True])
def test_whoever_is_killed_while_publishing_is_followed_by_one_who_brings_it_to_its_end(
    storage: Storage, video: Path, tmp_path: Path, earlier: bool
) -> None:
    died: list[str] = []
    while True:
        if storage.system.exists(storage.root):
            storage.system.rm(storage.root, recursive=True)
        storage.last = 0
        storage.system.makedirs(storage.root)
        storage.system.pipe_file(f"{storage.root}/notes.txt", b"mine")
        if earlier:
            assert kept(storage, video)["state"] == "done"
        storage.last = len(died) + 1
        try:
            kept(storage, video, overwrite=True)
            break
        except Killed:
            died.append(storage.acts[-1])
        storage.last = 0
        assert kept(storage, video)["state"] in ("done", "skipped"), died[-1]
        assert sorted(storage.files()) == sorted([*NAMES, "notes.txt"]), died[-1]
        place = ResultFolder(tmp_path / "copy", Source.of(video))
        shutil.rmtree(place.path, ignore_errors=True)
        for name, content in storage.files().items():
            (place.path / name).parent.mkdir(parents=True, exist_ok=True)
            (place.path / name).write_bytes(content)
        place.check()
        assert place.has("overlay.mp4") and place.has_frames(2) and place.report() is not None, died[-1]
    assert len({act for act in died if "put_file" in act or "mv" in act}) >= 5


def test_what_killed_runs_left_aside_goes_when_the_next_one_publishes(storage: Storage, video: Path) -> None:
    storage.system.makedirs(storage.root)
    left = [aside_name(Path(name)).name for name in ("frames", "params.npz")] + [".overlay.mp4.glot-7-0badcafe.part"]
    for name in [*left, ".mine.part", "params.npz.part"]:
        storage.system.pipe_file(f"{storage.root}/{name}", b"half")
    assert kept(storage, video)["state"] == "done"
    assert sorted(storage.files()) == sorted([*NAMES, ".mine.part", "params.npz.part"])


def test_nothing_but_results_is_fetched_or_touched(storage: Storage, video: Path, tmp_path: Path) -> None:
    system, root = storage.system, storage.root
    system.makedirs(f"{root}/deep")
    mine = {"notes.txt": b"mine", "deep/more.txt": b"mine too", "gone.txt": b"to go", "params.npz.bak": b"x"}
    system.pipe({f"{root}/{name}": content for name, content in mine.items()})
    if system.protocol == "memory":
        system.pipe_file(f"{root}/../../../..{tmp_path}/victim.txt", b"outside")

    def meanwhile() -> None:
        system.pipe_file(f"{root}/notes.txt", b"written on")
        system.rm_file(f"{root}/gone.txt")
        system.pipe_file(f"{root}/new.txt", b"new")

    report = kept(storage, video, MadeRuns(meanwhile=meanwhile))
    assert report["state"] == "done" and not [act for act in storage.acts if act.startswith("get_file")]
    assert not (tmp_path / "victim.txt").exists()
    found = {name: content for name, content in storage.files().items() if ".." not in name}
    others = {"notes.txt": b"written on", "deep/more.txt": b"mine too", "new.txt": b"new", "params.npz.bak": b"x"}
    assert sorted(found) == sorted([*NAMES, *others]) and found.items() >= others.items()
    assert kept(storage, video)["state"] == "skipped"


@pytest.mark.parametrize("name", ["frames/notes.txt", "frames/a/x", "frames/1.npz/x", "frames", "params.npz/x", ""])
def test_what_is_in_the_way_is_told_before_anything_runs(storage: Storage, video: Path, name: str) -> None:
    path = f"{storage.root}/{name}".rstrip("/")
    storage.system.makedirs(path.rpartition("/")[0], exist_ok=True)
    storage.system.pipe_file(path, b"mine")
    report = kept(storage, video, MadeRuns(meanwhile=lambda: pytest.fail("it runs")))
    told = f"{storage.url}/{name.removesuffix('/x')}".rstrip("/")
    remedy = "move it, or choose another output folder"
    assert report["error"] == f"{told}: is in the way: not written by this version of glot; {remedy}"
    assert storage.system.cat_file(path) == b"mine"


def test_a_name_that_leads_out_of_frames_is_in_the_way(store: fsspec.AbstractFileSystem, video: Path) -> None:
    store.pipe_file("/results/clip/frames/../../../tmp/1.npz", b"outside")
    report = kept(Storage("memory://results/clip"), video)
    assert report["error"].startswith("memory://results/clip/frames/..: is in the way")


def test_faults_and_warnings_name_urls(storage: Storage, video: Path) -> None:
    storage.system.makedirs(storage.root)
    storage.system.pipe_file(f"{storage.root}/overlay.mp4", b"mine")
    report = kept(storage, video)
    assert report["state"] == "failed" and report["error"].startswith(f"{storage.url}/overlay.mp4: is in the way: not")
    assert storage.files() == {"overlay.mp4": b"mine"}
    films = storage.url.replace("results/clip", "films/a.mp4")
    storage.system.makedirs(storage.root.replace("results/clip", "films"))
    storage.system.put_file(str(video), storage.root.replace("results/clip", "films/a.mp4"))
    storage.system.rm_file(f"{storage.root}/overlay.mp4")
    done = run_clip(MadeRuns(), films, storage.url, known=False, overwrite=False)  # type: ignore[arg-type]
    assert done["state"] == "done" and done["warnings"] == [f"{films}: is dark"]


def test_a_record_that_was_saved_before_a_fault_stays(storage: Storage, video: Path) -> None:
    assert kept(storage, video, MadeRuns(fault=InputError("cannot be drawn")))["error"] == "cannot be drawn"
    assert sorted(storage.files()) == ["params.npz"]
    assert kept(storage, video)["state"] == "done" and sorted(storage.files()) == NAMES


def test_whoever_finds_that_another_one_was_at_work_comes_again_and_sees_what_he_left(
    storage: Storage, video: Path
) -> None:
    first = Storage(storage.url)
    other = MadeRuns(meanwhile=lambda: kept(first, video))
    report = kept(storage, video, other)
    assert report["state"] == "busy" and f"{storage.url}/frames/000000.npz: came or went" in report["error"]
    assert kept(storage, video)["state"] == "skipped"
    mine = MadeRuns(meanwhile=lambda: storage.system.pipe_file(f"{storage.root}/overlay.mp4", b"mine"))
    assert kept(storage, video, mine, overwrite=True)["state"] == "busy"
    failed = kept(storage, video, overwrite=True)
    assert failed["state"] == "failed" and f"{storage.url}/overlay.mp4: is in the way" in failed["error"]
    assert storage.files()["overlay.mp4"] == b"mine"


def test_scratch_goes_also_that_of_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "mine").mkdir()
    with scratch() as room:
        (room / "file").touch()
        dead = room.with_name(room.name.replace(f"glot-{os.getpid()}-", f"glot-{gone.pid}-"))
        assert room.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    for left in (dead, room):  # of another process; of one that had the number of this one
        (left / "inner").mkdir(parents=True)
    with scratch() as again:
        assert again != room and sorted(path.name for path in tmp_path.iterdir()) == [again.name, "mine"]


def test_a_scratch_folder_that_cannot_be_removed_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as room:
        pass
    room.mkdir()
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors: None)  # as of one of another user
    with scratch() as again:
        assert again.is_dir() and room.is_dir()


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
    assert spoilt["state"] == "failed" and "memory://results/clip/params.npz: is in the way" in spoilt["error"]
    assert store.cat_file("/results/clip/params.npz") == b"mine"
    store.pipe_file("/films/text.mp4", b"no video")
    text = run_clip(runner, "memory://films/text.mp4", "memory://results/text", known=False, overwrite=False)
    assert text["error"].startswith("memory://films/text.mp4: ") and not store.exists("/results/text")
    missing = run_clip(runner, "memory://films/none.mp4", str(tmp_path / "none"), known=False, overwrite=False)
    assert missing["state"] == "failed" and "no such file" in missing["error"]
