"""Films: the truth lies where people are drawn, and every clip depends on its own number. Needs a renderer."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch

from glot_cli import load_result
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.errors import InputError
from glot_cli.results import Result
from glot_cli.synth import films
from glot_cli.synth.acting import Takes
from glot_cli.synth.backdrop import Backdrop, backdrop_of
from glot_cli.synth.films import Film, plan
from glot_cli.synth.painter import Painter
from glot_cli.synth.placement import Camera, standing
from glot_cli.synth.room import Box, Room
from glot_cli.synth.truth import truth_record
from glot_cli.synth.wardrobe import Figures
from glot_cli.video import VideoWriter, probe, read_frames
from tests.synth.synth_fixtures import SMALL

TORSO = (0, 3, 6, 9)  # joints that no clothing and no pose brings out of the outline


class KeepingWriter(VideoWriter):
    """Keeps the pictures too: of the same ones x264 now and then makes other bytes."""

    kept: ClassVar[dict[Path, list[np.ndarray]]] = {}

    def write(self, image: np.ndarray, pts: int) -> None:
        self.kept.setdefault(self.path, []).append(image.copy())
        super().write(image, pts)


@pytest.fixture(scope="module")
def filmed(drawing: None, motions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "VideoWriter", KeepingWriter)
        films.film(motions, out, SMALL, clips=3, seed=2, quiet=True, tell=lambda _: None)
    return out


def same(one: Result, other: Result) -> bool:
    return all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


@pytest.mark.parametrize("asked", [{"shake": 1.0, "pan": 20.0}, {"camera": ("travel",)}, {"camera": ("zoom",)}])
def test_joints_of_the_truth_lie_on_the_drawn_people(
    drawing, takes: Takes, figures: Figures, asked: dict[str, Any]
) -> None:
    request = replace(SMALL, people=2, obstacle=0.0, **asked)
    scene = plan(takes, request, figures.body, seed=3, number=0)
    with Painter(figures.body.faces, figures.body.num_vertices, 3, request.size) as painter:
        film = Film(scene, figures, painter, True, np.random.default_rng(0))
        covered = [[film.coverage(index, person) for index in range(request.frames)] for person in (0, 1)]
        shares = np.array([film.frame(index)[1] for index in range(request.frames)])
        picture = film.picture(2.0)
    truth = truth_record(scene.camera, scene.actors, shares, figures.body, Path("x.mp4"), request)
    assert len(truth) == 2 * request.frames and truth.people == [1, 2]
    for row in range(len(truth)):
        mask = covered[truth.person[row] - 1][truth.frame[row]]
        x, y = truth.joints2d[row, TORSO].T.astype(int)
        assert (mask[y, x] > 0.9).all()
        ys, xs = np.nonzero(mask > 0.5)
        middle = np.array([xs.min() + xs.max() + 1, ys.min() + ys.max() + 1]) / 2
        assert np.abs(truth.box[row, :2] - middle).max() < 4  # clothes stand off a little
    with torch.inference_mode():
        posed = figures.body(axis_angle_to_rotmat(torch.from_numpy(truth.pose)), torch.from_numpy(truth.betas))
    surface = posed.vertices.numpy() + truth.transl[:, None]
    pixels = surface[..., :2] / surface[..., 2:] * truth.row_focal_lengths()[:, None, None] + np.array(request.size) / 2
    world = np.concatenate([
        scene.camera.sees(a.vertices) for a in scene.actors
    ])  # fmt: skip
    focals = np.tile(scene.camera.focals, 2)[:, None, None]
    assert np.abs(pixels - (world[..., :2] / world[..., 2:] * focals + scene.camera.centre)).max() < 0.1
    # Who is drawn is another colour than the room would be.
    empty = film._backdrop.frame(scene.camera.at(2)) * 255
    changed = np.abs(picture - empty).max(-1) > 12
    assert changed[(covered[0][2] > 0.9) | (covered[1][2] > 0.9)].mean() > 0.8


def test_what_stands_in_front_hides_and_lowers_the_score(drawing, takes: Takes, figures: Figures) -> None:
    request = replace(SMALL, people=1, obstacle=1.0)
    scene = plan(takes, request, figures.body, seed=4, number=1)
    with Painter(figures.body.faces, figures.body.num_vertices, 3, request.size) as painter:
        film = Film(scene, figures, painter, True, np.random.default_rng(4))
        thing = film._backdrop.thing(scene.camera.at(3))
        assert film.room.before is not None and thing is not None
        own, (_, shares) = film.coverage(3, 0) > 0.5, film.frame(3)
        clear = Film(replace(scene, shot=replace(scene.shot, obstacle=False)), figures, painter, True,
                     np.random.default_rng(4))  # fmt: skip
        assert clear.frame(3)[1] == [1.0]
    assert shares[0] == pytest.approx((own & (thing[..., 3] <= 0.5)).sum() / own.sum())
    assert film.room.before.high[2] > max(actor.vertices[..., 2].max() for actor in scene.actors), "nearer than anybody"


def test_a_backdrop_turns_with_the_camera(takes: Takes) -> None:
    """Turned by the homography it shows what rays through the turned camera's pixels meet."""
    angles = np.array([[-0.2, 0.1, 0.0], [0.15, 0.12, 0.03]])
    camera = Camera((192, 108), 200.0, standing(1.5, 2), angles)
    room = Room(camera, 5.0, np.random.default_rng(0))
    turned = Backdrop(room, camera).frame(camera.at(1))
    rays = rays_of(camera, 1)
    direct = room.picture(camera.positions[1], rays)
    assert turned.shape == direct.shape and np.median(np.abs(turned - direct)) < 0.01
    assert (np.abs(turned - direct).max(-1) > 0.1).mean() < 0.05  # edges alone, which the backdrop smooths
    with pytest.raises(InputError, match="the camera sees too far around; ask for a longer focal length or a smaller"):
        Backdrop(room, Camera((192, 108), 20.0, standing(1.5, 2), angles))


def test_a_room_moves_past_a_camera_that_travels() -> None:
    """In every frame it is what rays from there meet: floor, walls, furniture, and what stands in front."""
    on_way = np.linspace(-1, 1, 3)[:, None]
    positions = np.array([0, 1.5, 0]) + on_way * [1.2, 0.05, -0.6]
    camera = Camera((128, 72), 120.0, positions, np.array([0, 0.15, 0]) + on_way * [-0.35, 0.03, 0.04])
    room = Room(camera, 5.0, np.random.default_rng(1))
    room.boxes = [box(-2.0, -room.back, 1.2), box(0.3, -room.back, 0.8), box(1.8, -room.back, 1.7)]
    room.before = box(-0.3, -2.0, 1.1)
    backdrop = backdrop_of(room, camera)
    for frame in range(3):
        rays = rays_of(camera, frame, finer=3)
        for drawn, met in ((backdrop.frame, room.picture), (backdrop.thing, room.thing)):
            direct = cv2.resize(met(camera.positions[frame], rays), camera.size, interpolation=cv2.INTER_AREA)
            off = np.abs(drawn(camera.at(frame)) - direct).max(-1)
            assert np.median(off) < 0.01 and (off > 0.1).mean() < 0.03  # edges alone
    with pytest.raises(InputError, match="the camera sees too far around; ask for a longer focal length, or for a cam"):
        backdrop_of(room, replace(camera, angles=camera.angles + np.array([1.2, 0, 0])))


def rays_of(camera: Camera, frame: int, finer: int = 1) -> np.ndarray:
    """(H, W, 3) in the world, through the middle of all pixels, or of so many times as many either way."""
    x, y = np.meshgrid(*((np.arange(length * finer) + 0.5) / finer for length in camera.size))
    turned = np.linalg.inv(camera.matrix).T @ camera.rotations[frame]
    return np.asarray(np.stack([x, y, np.ones_like(x)], -1) @ turned)


def box(x: float, z: float, high: float) -> Box:
    return Box(np.array([x, 0, z]), np.array([x + 0.6, high, z + 0.4]), np.array([0.6, 0.4, 0.2]))


def test_clips_and_truths_are_a_pair_each(filmed: Path) -> None:
    names = [f"clip_2_{number:03d}" for number in range(3)]
    assert sorted(p.name for p in filmed.iterdir()) == sorted(f"{n}.{end}" for n in names for end in ("mp4", "npz"))
    for name in names:
        truth, video = load_result(filmed / f"{name}.npz"), probe(filmed / f"{name}.mp4")
        frames = list(read_frames(filmed / f"{name}.mp4"))
        assert (video.width, video.height, video.fps) == (192, 108, 10) and len(frames) == SMALL.frames == 6
        assert truth.meta.video == f"{name}.mp4" and truth.meta.frame_rate == 10 and truth.meta.preset == "truth"
        assert len(truth) == 6 * len(truth.people) and (truth.score <= 1).all() and truth.score.max() > 0.5
        assert np.std([frame.image for frame in frames]) > 10


def test_a_clip_depends_on_its_number_alone_and_finished_ones_stay(
    filmed: Path, motions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "VideoWriter", KeepingWriter)
    for number in (0, 2):
        for end in ("mp4", "npz"):
            (tmp_path / f"clip_2_{number:03d}.{end}").write_text("made before")
    shutil.copy(filmed / "clip_2_000.mp4", tmp_path / "clip_2_001.mp4")  # without its truth a clip is not finished
    told: list[str] = []
    films.film(motions, tmp_path, SMALL, clips=3, seed=2, quiet=True, tell=told.append)
    assert (tmp_path / "clip_2_000.npz").read_text() == "made before" == (tmp_path / "clip_2_002.mp4").read_text()
    assert same(load_result(tmp_path / "clip_2_001.npz"), load_result(filmed / "clip_2_001.npz"))
    old, new = (KeepingWriter.kept[folder / "clip_2_001.mp4"] for folder in (filmed, tmp_path))
    assert len(old) == 6 and np.array_equal(old, new)
    assert ["kept" in line for line in told] == [True, False, True] and all("\n" not in line for line in told)


def test_a_stop_leaves_no_half_clip(drawing, motions: Path, tmp_path: Path, monkeypatch) -> None:
    drawn = films.Film.frame

    def stopped(self: films.Film, index: int) -> object:
        if index == 3:
            raise KeyboardInterrupt
        return drawn(self, index)

    monkeypatch.setattr(films.Film, "frame", stopped)
    with pytest.raises(KeyboardInterrupt):
        films.film(motions, tmp_path, SMALL, quiet=True, tell=lambda _: None)
    assert list(tmp_path.iterdir()) == []
