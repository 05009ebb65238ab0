"""Pictures and crops from end to end: what is in the files fits together. Needs a renderer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.rotations import pose6d_to_rotmat
from glot_cli.errors import InputError
from glot_cli.features.landmark_vector import unpack
from glot_cli.motion.sampling import Augmentation
from glot_cli.motion.viewing import Viewing
from glot_cli.synth import rendered_crops
from glot_cli.synth.contact_sheet import TILE, contact_sheet
from glot_cli.synth.rendered_crops import draw_pictures, find_pictures, look_at_pictures
from glot_cli.synth.studio import REACH, SIZE, Habits, _border, _frame
from glot_cli.synth.wardrobe import Figures
from glot_cli.training.training_crops import Crops

CLIPS, FRAMES, SEED = 3, 5, 4  # clips of one file
PLAIN = Habits(company=0.0, obstacle=0.0, truncated=0.0)


@pytest.fixture(scope="module", autouse=True)
def _small_files(drawing: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendered_crops, "CLIPS_PER_FILE", CLIPS)
        # What the networks find must not hang on who sits behind what.
        plain = Augmentation(mirror=0.0, swap_arms=0.0, swap_one_arm=0.0, swap_legs=0.0, swap_upper=0.0, vary=0.0)
        patch.setattr(rendered_crops, "AUGMENTATION", plain)
        patch.setattr(rendered_crops, "VIEWING", Viewing(truncated=0.0, steep=0.0, tumble=0.0, pitch_std=5.0))
        patch.setattr(rendered_crops, "Habits", lambda: PLAIN)
        yield


@pytest.fixture(scope="module")
def drawn(motions: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("drawn")
    return draw_pictures([motions], out, clips=2 * CLIPS, frames=FRAMES, seed=SEED, quiet=True)


@pytest.fixture(scope="module")
def made(drawn: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return look_at_pictures(drawn, tmp_path_factory.mktemp("crops"), quiet=True)


@pytest.fixture(scope="module")
def crops(made: list[Path], figures: Figures) -> Crops:
    return Crops.load(made, figures.body.subset(range(0, 6000, 300)), LandmarkModel())


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def pictures_of(file: dict[str, np.ndarray]) -> list[np.ndarray]:
    """(SIZE, SIZE, 3) BGR each."""
    return [cv2.imdecode(part, 1) for part in np.split(file["jpeg"], np.cumsum(file["jpeg_size"])[:-1])]


def test_files_hold_whole_clips_that_training_can_read(drawn: list[Path], made: list[Path], crops: Crops) -> None:
    for kind, paths in (("pictures", drawn), ("crops", made)):
        assert [path.name for path in paths] == [f"{kind}_{SEED}_00000.npz", f"{kind}_{SEED}_00001.npz"]
        assert sorted(paths[0].parent.iterdir()) == paths, "and nothing is left over"
    assert find_pictures(drawn[0].parent) == drawn
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


def test_joints_of_the_truth_lie_within_the_outlines_in_the_pictures(drawn: list[Path], figures: Figures) -> None:
    """By a pinhole's sum alone: pixel = (x / z - frame's centre) / frame's side * SIZE + SIZE / 2."""
    for path in drawn:
        file = {name: torch.from_numpy(values) for name, values in arrays(path).items()}
        posed = figures.body(pose6d_to_rotmat(file["pose6d"]), file["betas"], vertices=False).joints
        at = posed - posed[:, :1] + file["pelvis"][:, None]
        frame, outline = file["frame"][:, None], file["outline"][:, None]
        pixels = (at[..., :2] / at[..., 2:] - frame[..., :2]) / frame[..., 2:] * SIZE + SIZE / 2
        assert (pixels >= outline[..., :2]).all() and (pixels <= outline[..., 2:]).all()
        size = (outline[..., 2:] - outline[..., :2]).amax(-1)
        assert (size < SIZE).all() and (size > SIZE / 4).all()
        # Somebody is drawn there: the person's own pixels differ from clip to clip, the mean picture's do not matter.
        first = pictures_of(arrays(path))[0]
        assert first.shape == (SIZE, SIZE, 3) and first.std() > 5
        assert (file["border"] == torch.tensor([0, 0, SIZE, SIZE])).all()


def test_a_picture_reaches_around_all_places_of_a_moving_person() -> None:
    rng = np.random.default_rng(3)
    surface = rng.normal(size=(12, 50, 3)) * [0.3, 0.9, 0.2] + np.linspace([-1, 0, 4], [1, 0.2, 5], 12)[:, None]
    at = surface[..., :2] / surface[..., 2:]
    outlines = np.concatenate([at.min(1), at.max(1)], 1)
    centre_x, centre_y, side = _frame(outlines)
    touched = 0
    for low, high in zip(outlines[:, :2], outlines[:, 2:], strict=True):
        middle, longer = (low + high) / 2, (high - low).max()
        gap = side / 2 - np.abs(middle - [centre_x, centre_y]) - longer * Viewing().crop_scale * REACH / 2
        assert gap.min() > -1e-9
        touched += gap.min() < 1e-9
    assert touched == 2, "no larger than it must be: the first and the last place touch the sides"


def test_borders_leave_what_their_habits_say() -> None:
    """Of an upright person of width 1 and height 4: sides cut width, below and above cut height, deeply from below."""
    outlines = np.tile([2.0, 1.0, 3.0, 5.0], (3, 1))
    rng = np.random.default_rng(0)
    left = []
    for _ in range(300):
        border = _border(outlines, Habits(corner=0.0), rng)
        assert np.isfinite(border).sum() == 1
        cut = np.clip(outlines, np.tile(border[:2], 2), np.tile(border[2:], 2))
        kept = (cut[0, 2:] - cut[0, :2]) / [1, 4]
        side = int(np.flatnonzero(np.isfinite(border))[0])
        assert 0.2 < kept.min() < 0.98 and kept.max() == pytest.approx(1)
        left.append((side, kept.min()))
    below = np.array([share for side, share in left if side == 3])
    assert 0.45 < len(below) / 300 < 0.7 and 0.3 < (below < 0.55).mean() < 0.7
    assert min(share for side, share in left if side == 1) >= 0.75, "heads stay"
    corners = [_border(outlines, Habits(corner=1.0), rng) for _ in range(50)]
    assert all(np.isfinite(c).reshape(2, 2).any(0).all() for c in corners), "one across and one down"


def test_cut_off_people_are_black_beyond_the_border_and_placed_by_what_is_seen(
    motions: Path, tmp_path: Path, monkeypatch, figures: Figures
) -> None:
    monkeypatch.setattr(rendered_crops, "Habits", lambda: replace(PLAIN, truncated=1.0, deep=0.0, corner=0.0))
    drawn = draw_pictures([motions], tmp_path / "p", clips=2 * CLIPS, frames=FRAMES, seed=1, quiet=True)
    cut = 0
    for path in drawn:
        file = arrays(path)
        for picture, border, outline in zip(pictures_of(file), file["border"], file["outline"], strict=True):
            left, top, right, bottom = border
            beyond = np.ones((SIZE, SIZE), bool)
            beyond[max(0, top - 16) : bottom + 16, max(0, left - 16) : right + 16] = False  # JPEG rings nearby
            assert not picture[beyond].any() and picture[top:bottom, left:right].std() > 5
            assert (outline >= [left, top, left, top]).all() and (outline <= [right, bottom, right, bottom]).all()
            cut += bool(beyond.any())
    assert cut == 2 * CLIPS * FRAMES
    made = look_at_pictures(drawn, tmp_path / "c", quiet=True)
    seen = Crops.load(made, figures.body.subset([0]), LandmarkModel(), mirrored=False)
    inside = seen.exact.image.abs().amax(-1) < 0.8
    off = (unpack(seen.features).landmarks2d - seen.exact.image).norm(dim=-1)
    assert float(off[inside].median()) < 0.1, "boxes found within the border are boxes in the camera's frame"


def test_clips_move_and_have_one_shape(made: list[Path]) -> None:
    file = arrays(made[0])
    turns = pose6d_to_rotmat(torch.from_numpy(file["pose6d"])).view(CLIPS, FRAMES, 24, 3, 3)
    assert (turns[:, 1:] - turns[:, :-1]).abs().amax((1, 2, 3, 4)).min() > 1e-4
    betas = file["betas"].reshape(CLIPS, FRAMES, 10)
    assert (betas == betas[:, :1]).all() and (file["pelvis"][:, 2] > 1).all()


def test_pictures_fill_a_sheet(drawn: list[Path]) -> None:
    first = pictures_of(arrays(drawn[0]))[0]
    sheet = contact_sheet(drawn[0])
    try:
        picture = cv2.imread(str(sheet))
        assert picture.shape == (TILE, 4 * 3 * TILE, 3)  # one row: three clips and a gap
        assert (picture[:, : 9 * TILE].std((0, 1)) > 5).all() and not picture[:, 9 * TILE :].any()
        assert np.abs(picture[:, :TILE].astype(int) - cv2.resize(first, (TILE, TILE), interpolation=3)).mean() < 1
    finally:
        sheet.unlink()


def test_the_seed_decides_and_what_is_finished_stays(drawn: list[Path], motions: Path, tmp_path: Path) -> None:
    kept = tmp_path / drawn[0].name
    kept.write_text("drawn before")
    again = draw_pictures([motions], tmp_path, clips=2 * CLIPS, frames=FRAMES, seed=SEED, quiet=True)
    assert [path.name for path in again] == [path.name for path in drawn]
    assert kept.read_text() == "drawn before"
    old, new = arrays(drawn[1]), arrays(again[1])
    assert all(np.array_equal(old[name], new[name]) for name in new), "the second file does not need the first"
    (tmp_path / "c").mkdir()
    seen = tmp_path / "c" / f"crops_{SEED}_00000.npz"
    seen.write_text("seen before")
    assert look_at_pictures(again[:1], tmp_path / "c", quiet=True) == [seen], "and its pictures are not even read"
    assert seen.read_text() == "seen before"


def test_what_holds_no_pictures_is_named(made: list[Path], tmp_path: Path) -> None:
    for path, words in ((made[0], "no array 'frame'"), (tmp_path / "gone.npz", "gone.npz")):
        with pytest.raises(InputError, match=words):
            look_at_pictures([path], tmp_path / "c", quiet=True)
    with pytest.raises(InputError, match=r"crops_4_00000\.npz: no drawn pictures"):
        contact_sheet(made[0])
    with pytest.raises(InputError, match="no drawn pictures there"):
        find_pictures(tmp_path)
    assert list((tmp_path / "c").iterdir()) == []


def test_a_stop_leaves_nothing_and_nobody_found_is_said(
    drawn: list[Path], motions: Path, tmp_path: Path, monkeypatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rendered_crops, "_packed", stopped)
    with pytest.raises(KeyboardInterrupt):
        draw_pictures([motions], tmp_path, clips=1, frames=FRAMES, quiet=True)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(rendered_crops.Observer, "__call__", lambda *_: None)
    with pytest.raises(InputError, match="nobody was found in any of the pictures"):
        look_at_pictures(drawn, tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
