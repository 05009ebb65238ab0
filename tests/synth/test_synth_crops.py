"""Crops from end to end: what is in the files fits together. Needs a renderer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.rotations import pose6d_to_rotmat
from glot_cli.errors import InputError
from glot_cli.features.landmark_vector import unpack
from glot_cli.synth import rendered_crops
from glot_cli.synth.contact_sheet import TILE, contact_sheet
from glot_cli.synth.rendered_crops import REACH, VIEWING, synthesise
from glot_cli.synth.wardrobe import Figures
from glot_cli.training.training_crops import Crops

CLIPS, FRAMES, SEED = 3, 5, 4  # clips of one file


@pytest.fixture(scope="module", autouse=True)
def _small_files(drawing: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendered_crops, "CLIPS_PER_FILE", CLIPS)
        yield


@pytest.fixture(scope="module")
def made(motions: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("crops")
    return synthesise([motions], out, clips=2 * CLIPS, frames=FRAMES, seed=SEED, pictures=True, quiet=True)


@pytest.fixture(scope="module")
def crops(made: list[Path], figures: Figures) -> Crops:
    return Crops.load(made, figures.body.subset(range(0, 6000, 300)), LandmarkModel())


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_files_hold_whole_clips_that_training_can_read(made: list[Path], crops: Crops) -> None:
    assert [path.name for path in made] == [f"crops_{SEED}_00000.npz", f"crops_{SEED}_00001.npz"]
    assert sorted(p.name for p in made[0].parent.iterdir()) == [path.name for path in made], "and nothing is left over"
    for path in made:
        file = arrays(path)
        rows = CLIPS * FRAMES
        assert file["clip"].tolist() == np.repeat(np.arange(CLIPS), FRAMES).tolist()
        shapes = {"pose6d": (rows, 24, 6), "betas": (rows, 10), "pelvis": (rows, 3), "box": (rows, 3)}
        assert all(file[name].shape == shape and file[name].dtype == np.float32 for name, shape in shapes.items())
        assert file["features"].shape == (rows, 264) and np.isfinite(file["features"]).all()
    assert len(crops.clip) == 2 * 2 * CLIPS * FRAMES  # two files, each also in a mirror


def test_pose_place_and_crop_fit_what_the_network_sees(crops: Crops) -> None:
    found = unpack(crops.features).landmarks2d
    off = (found - crops.exact.image).norm(dim=-1).median(-1).values  # of a frame, in half crop sides
    assert float(off.median()) < 0.1
    reach = crops.exact.image.abs().amax((1, 2))
    assert 0.5 < float(reach.median()) < 1.1, "the crop lies around the person"


def test_a_picture_reaches_around_all_places_of_a_moving_person() -> None:
    rng = np.random.default_rng(3)
    surface = rng.normal(size=(12, 50, 3)) * [0.3, 0.9, 0.2] + np.linspace([-1, 0, 4], [1, 0.2, 5], 12)[:, None]
    centre_x, centre_y, side = rendered_crops._frame(surface)
    touched = 0
    for points in surface:
        at = points[:, :2] / points[:, 2:]
        middle, longer = (at.min(0) + at.max(0)) / 2, np.ptp(at, axis=0).max()
        gap = side / 2 - np.abs(middle - [centre_x, centre_y]) - longer * VIEWING.crop_scale * REACH / 2
        assert gap.min() > -1e-9
        touched += gap.min() < 1e-9
    assert touched == 2, "no larger than it must be: the first and the last place touch the sides"


def test_clips_move_and_have_one_shape(made: list[Path]) -> None:
    file = arrays(made[0])
    turns = pose6d_to_rotmat(torch.from_numpy(file["pose6d"])).view(CLIPS, FRAMES, 24, 3, 3)
    assert (turns[:, 1:] - turns[:, :-1]).abs().amax((1, 2, 3, 4)).min() > 1e-4
    betas = file["betas"].reshape(CLIPS, FRAMES, 10)
    assert (betas == betas[:, :1]).all() and (file["pelvis"][:, 2] > 1).all()


def test_kept_crops_are_whole_pictures_and_fill_a_sheet(made: list[Path]) -> None:
    file = arrays(made[0])
    assert len(file["jpeg"]) == file["jpeg_size"].sum() and len(file["jpeg_size"]) == CLIPS * FRAMES
    first = cv2.imdecode(file["jpeg"][: file["jpeg_size"][0]], cv2.IMREAD_COLOR)
    assert first.shape == (256, 256, 3) and first.std() > 5
    sheet = contact_sheet(made[0])
    try:
        picture = cv2.imread(str(sheet))
        assert picture.shape == (TILE, 4 * 3 * TILE, 3)  # one row: three clips and a gap
        assert (picture[:, : 9 * TILE].std((0, 1)) > 5).all() and not picture[:, 9 * TILE :].any()
        assert np.abs(picture[:, :TILE].astype(int) - cv2.resize(first, (TILE, TILE), interpolation=3)).mean() < 1
    finally:
        sheet.unlink()


def test_the_seed_decides_and_what_is_finished_stays(made: list[Path], motions: Path, tmp_path: Path) -> None:
    kept = tmp_path / made[0].name
    kept.write_text("made before")
    again = synthesise([motions], tmp_path, clips=2 * CLIPS, frames=FRAMES, seed=SEED, pictures=False, quiet=True)
    assert [path.name for path in again] == [path.name for path in made]
    assert kept.read_text() == "made before"
    old, new = arrays(made[1]), arrays(again[1])
    assert set(old) - set(new) == {"jpeg", "jpeg_size"}
    assert all(np.array_equal(old[name], new[name]) for name in new), "the second file does not need the first"
    with pytest.raises(InputError, match=r"crops_4_00001\.npz: was made without pictures"):
        contact_sheet(again[1])


def test_a_stop_leaves_nothing_and_nobody_found_is_said(motions: Path, tmp_path: Path, monkeypatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rendered_crops, "_clip", stopped)
    with pytest.raises(KeyboardInterrupt):
        synthesise([motions], tmp_path, clips=1, frames=FRAMES, quiet=True)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(rendered_crops, "_clip", lambda *_: None)
    with pytest.raises(InputError, match=r"crops_0_00000\.npz: nobody was found in 12 clips"):
        synthesise([motions], tmp_path, clips=1, frames=FRAMES, quiet=True)
    assert list(tmp_path.iterdir()) == []
