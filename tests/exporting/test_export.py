"""What an export is made of: people with their bones, and a folder in which nothing of a user's is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.model import Body
from glot_cli.errors import InputError, OutputError, UsageError
from glot_cli.exporting import outbox as outbox_module
from glot_cli.exporting.characters import Character, characters, even_times, sampled
from glot_cli.exporting.outbox import LIST, outbox
from glot_cli.files import seal
from glot_cli.files.atomic import aside_name
from glot_cli.motion.motions import load_motions
from glot_cli.results import Result, pose_bodies
from tests.exporting.made_records import made_record


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-neutral"))


@pytest.fixture
def record() -> Result:
    return made_record([(1, 0, range(20)), (2, 0, [*range(5, 9), *range(14, 20)])])


def test_joints_are_those_that_the_body_model_gives(record: Result, body: Body) -> None:
    for space, flip in (("floor", 1), ("camera", np.array([1, -1, -1]))):
        _, joints = pose_bodies(body, record, world=space == "floor")
        for character in characters(record, body, space):
            assert np.abs(character.joints - joints[character.rows] * flip).max() < 2e-6


def test_a_record_without_a_world_has_no_floor(body: Body) -> None:
    plain = made_record([(1, 0, range(3))], world=False)
    assert len(characters(plain, body, "camera")) == 1
    with pytest.raises(InputError, match="has no world"):
        characters(plain, body, "floor")


def test_shots_are_characters_of_their_own(body: Body) -> None:
    record = made_record([(1, 0, range(4)), (1, 1, range(4, 9)), (3, 1, range(5, 9))])
    assert [(c.person, c.shot, len(c.times)) for c in characters(record, body, "floor")] == [
        (1, 0, 4), (1, 1, 5), (3, 1, 4),
    ]  # fmt: skip
    assert [c.person for c in characters(record, body, "floor", [3])] == [3]


def test_between_frames_joints_turn_as_scipy_says(record: Result, body: Body) -> None:
    (own, _) = characters(record, body, "floor")
    times = np.linspace(own.times[0], own.times[-1], 77)
    new = sampled(own, times)
    for joint in (0, 4, 17):
        expected = Slerp(own.times, Rotation.from_matrix(own.rotmat[:, joint]))(times)
        assert (expected.inv() * Rotation.from_matrix(new.rotmat[:, joint])).magnitude().max() < 1e-3
    straight = np.stack([np.interp(times, own.times, own.root[:, axis]) for axis in range(3)], 1)
    assert np.abs(new.root - straight).max() < 1e-6
    assert new.seen.all()


def test_sampled_at_its_own_times_a_character_is_itself(record: Result, body: Body) -> None:
    for own in characters(record, body, "floor"):
        again = sampled(own, own.times)
        assert np.abs(again.joints - own.joints).max() < 1e-5
        assert again.seen.all() and (again.frames == own.frames).all()


def test_gaps_and_what_lies_outside_are_not_seen(record: Result, body: Body) -> None:
    *_, late = characters(record, body, "floor")
    every = sampled(late, np.arange(20) / 30)
    assert np.flatnonzero(every.seen).tolist() == [5, 6, 7, 8, 14, 15, 16, 17, 18, 19]
    assert (every.root[:5] == late.root[0]).all()  # who has not come yet holds the first pose


def test_times_do_not_lose_the_last_frame() -> None:
    for rate in ("30000/1001", "25", "24000/1001", "1000/17"):
        record = made_record([(1, 0, range(301))], fps=rate, world=False)
        assert len(even_times(record, float(record.meta.frame_rate))) == 301
    assert len(even_times(made_record([]), 30)) == 0


def written(folder: Path, name: str, text: str) -> list[Path]:
    with outbox(folder, {}) as box:
        box.path(name).write_text(text)
    return box.files


def test_what_an_export_wrote_is_replaced(tmp_path: Path) -> None:
    assert written(tmp_path / "new", "a/1.txt", "one") == [tmp_path / "new" / "a/1.txt"]
    written(tmp_path / "new", "2.txt", "other")  # it does not make the list forget the first
    written(tmp_path / "new", "a/1.txt", "two")
    assert (tmp_path / "new" / "a/1.txt").read_text() == "two"
    assert sorted(p.name for p in (tmp_path / "new").rglob("*")) == ["1.txt", "2.txt", "a", LIST]


@pytest.mark.parametrize("how", ["foreign", "changed", "list lost", "link", "folder"])
def test_what_no_export_wrote_stays(tmp_path: Path, how: str) -> None:
    target = tmp_path / "a.txt"
    if how not in ("foreign", "link", "folder"):
        written(tmp_path, "a.txt", "ours")
    if how == "list lost":
        (tmp_path / LIST).unlink()
    elif how == "link":
        (tmp_path / "precious").write_text("users")
        target.symlink_to("precious")
    elif how == "folder":
        target.mkdir()
    else:
        target.write_text("users")
    with pytest.raises(OutputError, match="no export wrote it"):
        written(tmp_path, "a.txt", "new")
    assert target.is_dir() or target.read_text() == ("ours" if how == "list lost" else "users")


def test_a_foreign_list_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / LIST).write_text("{}")
    with pytest.raises(OutputError, match=r"export\.json"):
        written(tmp_path, "a.txt", "new")
    assert [p.name for p in tmp_path.iterdir()] == [LIST]


def test_a_format_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), outbox(tmp_path / "o", {}) as box:
        for name in ("a.txt", "o/1/a.txt", "o/2/a.txt"):
            box.path(name).write_text("half")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []  # not even the folders that were made for it


def test_a_kill_in_the_middle_leaves_all_files_those_of_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a file was replaced before it or not, and whatever exports came before and after."""
    for name in "abc":
        written(tmp_path, f"{name}.txt", f"first {name}")

    class KilledError(Exception):
        pass

    publish, done = outbox_module.publish, []

    def stops(aside: Path, path: Path, own: bool | None = None) -> None:
        if len(done) % 2:
            raise KilledError
        done.append(path)
        publish(aside, path, own)

    for _ in range(2):  # the second kill must not make the next export forget what the first left
        monkeypatch.setattr(outbox_module, "publish", stops)
        with pytest.raises(KilledError), outbox(tmp_path, {}) as box:
            for name in "abc":
                box.path(f"{name}.txt").write_text(f"second {name}")
        monkeypatch.setattr(outbox_module, "publish", publish)
        done.append(tmp_path)
        texts = [(tmp_path / f"{name}.txt").read_text() for name in "abc"]
        assert texts == ["second a", "first b", "first c"]
    written(tmp_path, "d.txt", "another")
    for name in "abc":
        written(tmp_path, f"{name}.txt", f"third {name}")
    assert (tmp_path / "c.txt").read_text() == "third c"


@pytest.mark.parametrize("folder", ["", "obj/person1"])
def test_what_a_killed_export_left_is_removed(tmp_path: Path, folder: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    place = tmp_path / "o" / folder
    place.mkdir(parents=True)
    for name, ending in (("a.obj", "part"), ("b.c3d", "c3d"), ("notes.docx", "part"), ("c.obj", "old")):
        left = aside_name(place / name, ending)
        left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")).touch()
    aside_name(place / "d.obj").touch()  # of a process that lives
    with outbox(tmp_path / "o", {}) as box:
        box.path(str(Path(folder, "x.obj"))).write_text("new")
    assert sorted(p.name.partition(".glot-")[0] for p in place.iterdir() if p.name.startswith(".")) == [
        ".c.obj", ".d.obj", ".notes.docx",
    ]  # fmt: skip


def test_text_that_was_changed_in_its_middle_is_a_users(tmp_path: Path) -> None:
    text = "0123456789abcdef" * (3 << 16)  # 3 MiB
    written(tmp_path, "a.csv", text)
    changed = text[: len(text) // 2] + "X" + text[len(text) // 2 + 1 :]
    (tmp_path / "a.csv").write_text(changed)
    with pytest.raises(OutputError, match="no export wrote it"):
        written(tmp_path, "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == changed


@pytest.mark.parametrize("ours", [True, False])
def test_what_comes_while_we_write_stays(tmp_path: Path, ours: bool) -> None:
    if ours:
        written(tmp_path, "a.txt", "ours")
    with pytest.raises(OutputError, match="no export wrote it"), outbox(tmp_path, {}) as box:
        box.path("a.txt").write_text("new")
        (tmp_path / "a.txt").write_text("a user's")
    assert (tmp_path / "a.txt").read_text() == "a user's"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", LIST]


def test_a_list_of_ever_so_many_files_is_still_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "LARGEST_JSON", 1000)
    names = [f"{n}.txt" for n in range(20)]
    for text in ("one", "two"):
        with outbox(tmp_path, {}) as box:
            for name in names:
                box.path(name).write_text(text)
    assert (tmp_path / LIST).stat().st_size > 1000 and (tmp_path / "19.txt").read_text() == "two"
    monkeypatch.setattr(outbox_module, "LARGEST_LIST", 3000)
    with pytest.raises(OutputError, match="too many files"), outbox(tmp_path / "o", {}) as box:
        for number in range(40):
            box.path(f"x{number}.txt").write_text("three")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("what", ["file", "below a file", "device", "link to nothing"])
def test_an_output_that_is_no_folder_is_said(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("users")
    (tmp_path / "link").symlink_to("nothing")
    out = {"file": tmp_path / "file", "below a file": tmp_path / "file/o", "device": Path(os.devnull)}
    with pytest.raises(OutputError, match=r"is no folder; .*choose another output folder"):
        written(out.get(what, tmp_path / "link"), "a.txt", "new")
    assert (tmp_path / "file").read_text() == "users"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit of the size of files")
@pytest.mark.parametrize(("kind", "package"), [("c3d", "ezc3d"), ("usd", "pxr")])
def test_a_full_disk_leaves_no_cut_file_of_a_library(tmp_path: Path, record: Result, kind: str, package: str) -> None:
    pytest.importorskip(package)
    record.save(tmp_path / "params.npz")
    script = (
        "import resource, signal, sys\nfrom glot_cli.api import export\nfrom glot_cli.errors import OutputError\n"
        "from glot_cli.exporting.formats import writers\nwriters([sys.argv[2]], plot=False)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "try:\n    export(sys.argv[1], [sys.argv[2]])\nexcept OutputError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), kind]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be written" in told.stdout and told.stdout.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["params.npz"]


def test_what_would_never_end_is_refused(tmp_path: Path, record: Result) -> None:
    """Numbers that a record may hold, and no film does."""
    record.time[-1] = 1e8
    record.save(tmp_path / "params.npz")
    with pytest.raises(InputError, match=r"lasts 100,000,000 s, .* at 30 a second"):
        export(tmp_path, ["bvh"])
    empty = made_record([], world=False)
    Result(empty.arrays, replace(empty.meta, frame_count=2**30)).save(tmp_path / "params.npz")
    with pytest.raises(InputError, match="has 1,073,741,824 frames"):
        export(tmp_path, ["openpose"])


def test_amass_files_come_back_through_the_reader_of_motions(tmp_path: Path, record: Result, body: Body) -> None:
    record.save(tmp_path / "params.npz")
    files = export(tmp_path, ["amass"])
    assert [f.name for f in files] == [f"{tmp_path.name}_person{n}_amass.npz" for n in (1, 2)]
    own: Character = characters(record, body, "floor")[0]
    motion = load_motions(files[:1])
    assert np.abs(motion.pose6d[:, :22].numpy() - own.rotmat[:, :22, :, :2].reshape(-1, 22, 6)).max() < 1e-5
    with np.load(files[0], allow_pickle=False) as file:
        # AMASS is z up: its y is our -z.
        pelvis = (file["trans"] + own.rest[0])[:, [0, 2, 1]] * [1, 1, -1]
        assert np.abs(pelvis - own.root).max() < 1e-6
        assert file["mocap_framerate"] == 30 and not file["betas"].any()


@pytest.mark.parametrize(
    ("formats", "keywords", "option"),
    [
        (["glbb"], {}, "format"),
        ([], {}, "format"),
        (["amass"], {"world": "moon"}, "world"),
        (["amass"], {"fps": 1e-6}, "fps"),
        (["amass"], {"fps": float("nan")}, "fps"),
        (["amass"], {"names": "ogre"}, "names"),
        (["amass"], {"person": 7}, "person"),
    ],
)
def test_wrong_usage_is_said_and_writes_nothing(
    tmp_path: Path, record: Result, formats: list[str], keywords: dict, option: str
) -> None:
    record.save(tmp_path / "params.npz")
    with pytest.raises(UsageError) as caught:
        export(tmp_path, formats, **keywords)
    assert caught.value.option == option
    assert [p.name for p in tmp_path.iterdir()] == ["params.npz"]
