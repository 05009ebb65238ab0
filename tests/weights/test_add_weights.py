"""`glot weights`: what `add` recognises and keeps, what `list` and `verify` tell, and which of them are chosen."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from glot_cli import weights
from glot_cli.errors import OutputError, UsageError, WeightsError
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.official import rename_glot, rename_spin
from glot_cli.pipeline import presets
from glot_cli.weights.add_weights import add_weights
from glot_cli.weights.recognise import gender_of
from tests.cli.fixtures import Glot
from tests.parity import official_files, standins
from tests.parity.official_files import EXTRA, GLOT, H36M, MEAN, NEUTRAL, SPIN
from tests.weights.weights_fixtures import archive, flip

pytestmark = pytest.mark.usefixtures("weights_folder")


def added_names(path: Path, gender: str | None = None) -> list[str]:
    return [added.entry.name for added in add_weights(path, gender)]


NAMES = {
    NEUTRAL: "smpl-neutral",
    SPIN: "spin",
    GLOT: "glot-table1_3dpw_weights",
    MEAN: "mean-params",
    EXTRA: "joints-extra",
    H36M: "joints-h36m",
}


@pytest.mark.parametrize("original", NAMES)
def test_every_official_file_is_recognised_by_what_it_holds(
    original: str, official: dict[str, Path], tmp_path: Path
) -> None:
    assert added_names(official[original]) == [NAMES[original]]
    if original not in (NEUTRAL, GLOT):  # gender and checkpoint have no other source than the name
        renamed = tmp_path / "download (1)"
        os.link(official[original], renamed)
        assert added_names(renamed) == [NAMES[original]]


def test_what_is_kept_is_what_was_given(official: dict[str, Path], weights_folder: Path) -> None:
    for path in official.values():
        list(add_weights(path))
    with np.load(weights_folder / "smpl-neutral.npz", allow_pickle=False) as kept:
        for name, expected in standins.smpl().items():
            np.testing.assert_allclose(kept[name], expected.astype(np.float32) if name != "f" else expected)
        assert set(kept.files) == set(standins.smpl())
    with np.load(weights_folder / "mean-params.npz", allow_pickle=False) as kept:
        for name, expected in standins.mean_params().items():
            np.testing.assert_array_equal(kept[name], expected)
    for name, read, rename in (("spin", "spin", rename_spin), ("glot-table1_3dpw_weights", "glot", rename_glot)):
        kept = load_file(weights_folder / f"{name}.safetensors")
        learned = rename(official_files.tensors(read))
        assert set(kept) == set(learned), "learned tensors alone"
        assert all(torch.equal(kept[key], learned[key]) for key in learned)
    assert all(weights.check(e, weights_folder / e.file) is None for e in weights.added().values())
    assert presets.choose("paper").glot == "glot-table1_3dpw_weights"


@pytest.mark.parametrize("zipped", [False, True])
def test_both_of_torchs_formats_are_read(zipped: bool, tmp_path: Path) -> None:
    path = official_files.write_glot(tmp_path / "model_best.pth.tar", zipped)
    assert added_names(path) == ["glot-model_best"]
    assert weights.load_glot(weights.locate("glot-model_best"), torch.zeros(157)).config == GLoTConfig()


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("SMPL_MALE.npz", "male"),
        ("SMPL_FEMALE.pkl", "female"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "neutral"),
        ("smpl/models/female/model.pkl", None),
        ("model.pkl", None),
    ],
)
def test_gender_is_in_the_name(name: str, gender: str | None) -> None:
    if gender is None:
        with pytest.raises(UsageError, match=r"gender: '.*' is an SMPL body .*; say neutral, male or female"):
            gender_of(name)
    else:
        assert gender_of(name) == gender


def test_gender_can_be_said(official: dict[str, Path], tmp_path: Path) -> None:
    os.link(official[NEUTRAL], tmp_path / "body.pkl")
    with pytest.raises(UsageError, match=r"gender: 'body\.pkl' is"):
        list(add_weights(tmp_path / "body.pkl"))
    assert added_names(tmp_path / "body.pkl", "female") == ["smpl-female"]


@pytest.mark.parametrize("name", ["vibe_data.zip", "data.tar.gz"])
def test_archives_are_looked_through(name: str, official: dict[str, Path], tmp_path: Path) -> None:
    files = {f"data/{official_name}": official[official_name].read_bytes() for official_name in (MEAN, EXTRA, H36M)}
    other = io.BytesIO()
    np.save(other, np.arange(3))
    files |= {"data/cube_parts.npy": other.getvalue(), "data/notes.txt": b"hello", "__MACOSX/._x.npz": b"junk"}
    files |= {"data/gmm_08.pkl": pickle.dumps({"means": np.zeros((8, 69)), "weights": [1, 2]}, 2)}
    assert set(added_names(archive(tmp_path / name, files))) == {"mean-params", "joints-extra", "joints-h36m"}


def test_the_command_says_what_came_of_it(official: dict[str, Path], glot: Glot) -> None:
    ended = glot("weights", "add", official[MEAN], official[EXTRA])
    assert ended.status == 0
    assert "mean body parameters" in ended.out.splitlines()[0]
    assert ended.out.splitlines()[-1].startswith("still missing for --preset paper: ")
    assert all(name in ended.out.splitlines()[-1] for name in ("spin_model_checkpoint.pth.tar", "SMPL_NEUTRAL.pkl"))
    ended = glot("weights", "add", official[NEUTRAL], official[SPIN], official[GLOT])
    assert ended.status == 0 and ended.out.splitlines()[-1] == "--preset paper has all it needs"
    ended = glot("weights", "verify")
    assert ended.status == 0 and ended.out.count(": intact (") == len(weights.manifest()) + 5


def test_list_says_what_is_there_and_where_the_rest_is(official: dict[str, Path], glot: Glot) -> None:
    list(add_weights(official[MEAN]))
    ended = glot("weights", "list")
    assert ended.status == 0
    assert "preset paper: 3 files are missing" in ended.out
    assert "mean-params: MISSING" not in ended.out and f"{MEAN}, SHA-256" in ended.out
    for name in ("spin", "glot", "smpl-neutral", "smpl-male", "joints-extra"):
        block = ended.out.split(f"\n{name}: MISSING")[1].split("\n\n")[0]
        assert "where: " in block and "licence: " in block
    assert ended.out.count("(registration)") == 3


def test_list_sees_a_broken_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glot: Glot) -> None:
    assert "preset open: complete" in glot("weights", "list").out
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    out = glot("weights", "list").out
    assert "preset open: " in out and "glot_open.safetensors" in out and "missing; install glot-cli again" in out


def test_verify_sees_what_was_altered(official: dict[str, Path], weights_folder: Path, glot: Glot) -> None:
    (added,) = add_weights(official[MEAN])
    flip(added.path, added.path, [added.path.stat().st_size // 2])
    ended = glot("weights", "verify")
    assert ended.status == 1 and "mean-params: the mean body parameters has SHA-256" in ended.out
    with pytest.raises(WeightsError, match="add it again"):
        weights.locate("mean-params")


def test_several_checkpoints(official: dict[str, Path], tmp_path: Path) -> None:
    for path in (official[MEAN], official[NEUTRAL], official[SPIN]):
        list(add_weights(path))
    for name in ("table1_h36m_mpii3d_weights.pth.tar", "table2_3dpw_weights.pth.tar"):
        os.link(official[GLOT], tmp_path / name)
        list(add_weights(tmp_path / name))
    with pytest.raises(UsageError, match="choose table1_h36m_mpii3d_weights or table2_3dpw_weights"):
        presets.choose("paper")
    assert presets.choose("paper", glot="table2_3dpw_weights").glot == "glot-table2_3dpw_weights"
    list(add_weights(official[GLOT]))
    assert presets.choose("paper").glot == "glot-table1_3dpw_weights"
    with pytest.raises(UsageError, match=r"^glot: 'nothing' is no file"):
        presets.choose("paper", glot="nothing")


def test_body_and_gender_are_chosen(official: dict[str, Path]) -> None:
    list(add_weights(official[NEUTRAL]))
    assert presets.choose("open", body="smpl").body == "smpl-neutral"
    with pytest.raises(UsageError, match=r"SMPL_MALE\.pkl"):
        presets.choose("open", body="smpl", gender="male")
    assert presets.choose("open").body == "open-neutral"
    assert presets.choose("open", gender="female").body == "open-female"
    with pytest.raises(UsageError, match="only the open body and SMPL's have genders"):
        presets.choose("open", body=str(official[NEUTRAL]), gender="male")
    with pytest.raises(UsageError, match=r"^body: 'nothing' is no file"):
        presets.choose("open", body="nothing")
    assert presets.choose("open", body=str(official[NEUTRAL])).body == str(official[NEUTRAL])


def test_a_folder_that_cannot_be_written(official: dict[str, Path], weights_folder: Path) -> None:
    weights_folder.write_text("a file stands in the way")
    with pytest.raises(OutputError, match="GLOT_WEIGHTS"):
        list(add_weights(official[MEAN]))


def test_nothing_is_left_of_a_write_that_fails(
    official: dict[str, Path], weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        list(add_weights(official[MEAN]))

    def half_written(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", half_written)
    with pytest.raises(OutputError, match="No space left"):
        list(add_weights(official[SPIN]))
    assert list(weights_folder.iterdir()) == []


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights.user_folder() == tmp_path / "own weights"
    monkeypatch.delenv("GLOT_WEIGHTS")
    assert weights.user_folder().name == "weights" and weights.user_folder().parent.name == "glot"
    shutil.rmtree(tmp_path / "own weights", ignore_errors=True)
    assert weights.added() == weights.added()
