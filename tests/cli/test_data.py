"""`glot data`: what it says of data sets, of files that are none, and with which exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glot_cli.datasets.dataset import Dataset
from glot_cli.datasets.known_datasets import OFFICIAL_DATA
from tests.cli.fixtures import Glot
from tests.datasets import official_data
from tests.parity.official_files import Exploit


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own data"
    monkeypatch.setenv("GLOT_DATA", str(folder))
    return folder


def test_adding_and_listing(glot: Glot, tmp_path: Path, own_folder: Path) -> None:
    paths = [official_data.write(tmp_path, name) for name in ("3dpw-train", "mpii3d-val-scale12", "insta-train")]
    ended = glot("data", "add", *paths)
    assert (ended.status, ended.err) == (0, [])
    assert ended.out.splitlines() == [
        f"{paths[0]}: 3dpw-train: 111 frames in 3 videos, 2-D joints, 3-D joints, SMPL -> {own_folder / '3dpw-train'}",
        f"{paths[1]}: mpii3d-val-scale12: 111 frames in 3 videos, 2-D joints, 3-D joints -> "
        f"{own_folder / 'mpii3d-val-scale12'}",
        f"{paths[2]}: insta-train: 111 frames in 3 videos, 2-D joints -> {own_folder / 'insta-train'}",
    ]
    (own_folder / "broken").mkdir()
    (own_folder / "broken" / "meta.json").write_text("{}")
    ended = glot("data", "list")
    lines = ended.out.splitlines()
    assert (ended.status, ended.err) == (0, [])
    assert "3dpw-train: 111 frames in 3 videos, 2-D joints, 3-D joints, SMPL, 0.2 MB" in lines
    assert any(line.startswith("broken: BROKEN: ") and "add the data set again" in line for line in lines)
    missing = {line.split(":")[0]: (line, lines[i + 1]) for i, line in enumerate(lines) if ": MISSING" in line}
    assert set(missing) == set(OFFICIAL_DATA) - {"3dpw-train", "mpii3d-val-scale12", "insta-train"}
    for name, (line, where) in missing.items():
        assert line.endswith(f"made of {OFFICIAL_DATA[name].file}") and "'s repository (" in where
    assert lines[-1] == f"Data sets are kept in {own_folder}"


def test_hours_are_told_of_long_ones(glot: Glot, tmp_path: Path) -> None:
    path = official_data.write(tmp_path, "posetrack-train", videos=1, frames=32_400, feature_dim=1)
    assert "32,400 frames in 1 video (0.3 h at 30 frames/s), 2-D joints -> " in glot("data", "add", path).out


def test_one_that_fails_does_not_stop_the_others(glot: Glot, tmp_path: Path, own_folder: Path) -> None:
    good = [official_data.write(tmp_path, name) for name in ("3dpw-val", "3dpw-test")]
    exploit = official_data.dump(tmp_path / "evil_db.pt", {"a": official_data.arrays_of("3dpw-val")["features"],
                                                            "b": Exploit(os.system, "echo fired")})  # fmt: skip
    ended = glot("data", "add", good[0], exploit, tmp_path / "missing_db.pt", good[1])
    assert ended.status == 1 and "fired" not in ended.out
    assert ended.err == [
        f"glot: {exploit}: is a pickle that asks for {os.name}.system; nothing in it was run, and no official file "
        "does that; take another copy",
        f"glot: {tmp_path / 'missing_db.pt'}: cannot be read (No such file or directory); check the name",
    ]
    assert ended.out.count(" -> ") == 2
    assert sorted(p.name for p in own_folder.iterdir()) == ["3dpw-test", "3dpw-val"]


def test_names_and_replacing(glot: Glot, tmp_path: Path, own_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val")
    assert glot("data", "add", path, "--name", "mine").status == 0
    assert len(Dataset.open("mine")) == 111
    ended = glot("data", "add", path, "--name", "mine")
    assert ended.status == 1
    assert ended.err == [
        f"glot: {own_folder / 'mine'}: is there already; "
        "give another name, or say that it is to be replaced (--replace)"
    ]
    path = official_data.write(tmp_path, "3dpw-val", frames=20)
    assert glot("data", "add", path, "--name", "mine", "--replace").status == 0
    assert len(Dataset.open("mine")) == 20 + 17 + 14
    for arguments in ((path, path, "--name", "mine"), (path, "--name", "../mine")):
        ended = glot("data", "add", *arguments)
        assert ended.status == 2 and len(ended.err) == 1


def test_what_was_marked_invalid_is_said_in_the_same_line(glot: Glot, tmp_path: Path) -> None:
    arrays = official_data.arrays_of("3dpw-val")
    arrays["bbox"][7, 2] = 0
    path = official_data.dump(tmp_path / "3dpw_val_db.pt", arrays)
    ended = glot("data", "add", path)
    assert ended.status == 0 and ended.err == []
    assert ended.out.rstrip().endswith(
        "; 1 frame without a box or with values that are no numbers marked invalid (first row 7)"
    )
    assert glot("data", "add", path, "--replace", "--quiet").out.endswith("3dpw-val\n")


@pytest.mark.parametrize("arguments", ["data --help", "data list", "data list --help", "data add --help"])
def test_help_and_list_need_nothing_heavy(arguments: str) -> None:
    code = (
        f"from glot_cli.cli.main import group\ngroup.main({arguments.split()}, standalone_mode=False)\n"
        "import sys; print(sorted({'numpy', 'torch', 'h5py', 'joblib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done.stderr


def test_joblib_is_not_needed(tmp_path: Path, own_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val")
    code = (
        "import sys; sys.modules['joblib'] = sys.modules['h5py'] = None\n"
        f"from glot_cli.cli.main import main; main(['data', 'add', '--quiet', {str(path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert (own_folder / "3dpw-val" / "features.npy").is_file()
