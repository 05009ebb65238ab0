"""From tracks and their features to the record: GLoT over every track, a row for each person in each frame."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli._version import __version__
from glot_cli.body.rotations import rotmat_to_axis_angle
from glot_cli.camera import project_pinhole
from glot_cli.errors import counted
from glot_cli.lifting.lifters import Features, VideoCamera
from glot_cli.metrics import mean_accelerations
from glot_cli.pipeline.lenses import find_camera, zoom_of_looks
from glot_cli.pipeline.models import Models
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import Timeline
from glot_cli.pipeline.video_source import Source
from glot_cli.results import Result, empty_arrays
from glot_cli.schema import Meta
from glot_cli.tracking.tracks import Track
from glot_cli.video import VideoInfo
from glot_cli.world.background import ShotBackground
from glot_cli.world.camera_motion import CameraMotion, camera_motion, standing
from glot_cli.world.given import GivenCamera
from glot_cli.world.gravity import Direction
from glot_cli.world.reconstruct import Filming, InWorld

log = logging.getLogger(__name__)

UNSURE = 0.3  # confidence below which how a camera moved is not known
TILTED = 10.0  # degrees that up may be off, before it is said
OTHERWISE = 20.0  # degrees between up as it was told and as it is seen, from which on it is said
SURE_UP = 7.0  # degrees that what is seen of it may be off then


def make_record(
    source: Source,
    info: VideoInfo,
    tracks: list[Track],
    seen: Timeline,
    features: Features,
    models: Models,
    options: Options,
    given: GivenCamera | None = None,
    warn: Callable[[str], None] = log.warning,
) -> Result:
    """Lift every track and gather the rows of all.

    Args:
        source: the video.
        info: what `probe` says of it.
        tracks: one for each person in each shot, of n frames each; sorted by person, then shot.
        seen: the frames that were looked at.
        features: (n, F) for each track.
        models: networks of the preset.
        options: focal length and window edges, and what is known of the camera.
        given: the camera's motion, where a file tells it.
        warn: receives a line where up as it was told cannot be.
    """
    shots = list(itertools.pairwise([*seen.shots, len(seen.times)]))
    scenes = [seen.background.scene(*shot) for shot in shots]
    camera = find_camera(info, tracks, seen, scenes, features, models, options, given)
    step = max(1, round(camera.fps / models.preset.window_fps))
    worlds, motions, parts = [], [], []
    cast: list[list[tuple[Track, NDArray[np.float32]]]] = [[] for _ in shots]
    for track, feature in zip(tracks, features, strict=True):
        cast[track.shot].append((track, feature))
    for those, scene, (start, end) in zip(cast, scenes, shots, strict=True):
        lifted = [
            models.lifter.lift(track, torch.from_numpy(feature), camera, step=step, edges=options.edges)
            for track, feature in those
        ]
        filming, motion = _filmed(scene, start, end, seen, info, camera, options, given)
        motions.append(motion)
        worlds.append(models.worldmaker([track for track, _ in those], lifted, filming))
        if filming.up is not None and (otherwise := _contradiction(filming.up, worlds[-1].shown)):
            warn(f"{source.name}: from frame {seen.first + start}, {otherwise}")
        parts += [
            _rows(track, placed, seen, camera) for (track, _), placed in zip(those, worlds[-1].people, strict=True)
        ]
    parts.sort(key=lambda rows: (rows["person"][0], rows["frame"][0]))
    arrays = (
        {name: np.concatenate([p[name] for p in parts]) for name in parts[0]} if parts else empty_arrays(world=True)
    )
    numbers = np.arange(len(seen.times))
    focals = np.asarray(np.broadcast_to(camera.focal_in(numbers), len(numbers)), np.float64)
    cameras = {
        "camera_rotation": torch.cat([world.rotation for world in worlds]).numpy().astype(np.float32),
        "camera_translation": torch.cat([world.translation for world in worlds]).numpy().astype(np.float32),
        "camera_focal_length": focals.astype(np.float32),
    }
    meta = Meta(
        video=source.name,
        source=str(source.path),
        video_id=source.video_id,
        shots=[seen.first + start for start in seen.shots],
        width=info.width,
        height=info.height,
        fps=str(Fraction(info.fps)),
        frame_count=len(seen.times),
        start_frame=seen.first,
        focal_length=camera.focal if camera.zoom is None else float(np.median(focals)),
        body_model=models.body_name,
        body_model_sha256=models.body_hash,
        preset=models.preset.name,
        weights=models.hashes,
        program_version=__version__,
        camera_motion=[motion.kind for motion in motions],
        camera_confidence=[round(motion.confidence, 3) for motion in motions],
        gravity_error=[round(math.degrees(world.gravity_spread), 2) for world in worlds],
        floor=[[round(float(n), 6) for n in world.floor] for world in worlds],
    )
    return Result(arrays, meta, cameras)


def _filmed(
    scene: ShotBackground,
    start: int,
    end: int,
    seen: Timeline,
    info: VideoInfo,
    camera: VideoCamera,
    options: Options,
    given: GivenCamera | None,
) -> tuple[Filming, CameraMotion]:
    """How the camera moved in a shot, from frame `start` to before `end`: as is known, else as the background tells."""
    ticks, centre = seen.ticks[start:end], (info.width / 2, info.height / 2)
    zoom = zoom_of_looks(camera, ticks, scene, start)
    up = None if options.up is None or start else np.array(options.up)
    if given is not None:
        motion = given.motion(start, start + len(ticks), ticks)
        up = given.up_of(start, options.up)
        looks = motion.rotations[np.searchsorted(ticks, scene.ticks).clip(max=len(ticks) - 1)]
    elif options.camera == "static":
        motion = standing(scene, 1.0, "as was said")
        looks = motion.rotations
    else:
        motion = camera_motion(scene, camera.focal, centre, moves=options.camera == "moving", zoom=zoom)
        looks = motion.rotations
    turns = torch.from_numpy(motion.rotations_at(ticks)).float()
    filming = Filming(
        first=start,
        turns=turns,
        travels=bool(motion.places.any()),
        metric=given is not None,
        path=motion.places_at(ticks),
        ticks=torch.from_numpy(ticks),
        fps=camera.fps,
        focal=camera.focal,
        centre=camera.centre,
        size=(info.width, info.height),
        lines=_lines(scene, centre, zoom),
        looks=looks,
        up=None if up is None else torch.from_numpy(up).float(),
        zoom=None if camera.zoom is None else camera.zoom[start:end],
    )
    return filming, motion


def _lines(
    scene: ShotBackground, centre: tuple[float, float], zoom: NDArray[np.float64] | None
) -> dict[int, NDArray[np.floating]]:
    """(n, 4) ends of the background's lines, pixels, by number of the look, as a lens that does not zoom shows them."""
    lines: dict[int, NDArray[np.floating]] = {one.look: one.lines for one in scene.keyframes.values()}
    if zoom is None:
        return lines
    middle = np.tile(centre, 2)
    return {look: (ends - middle) / zoom[look] + middle for look, ends in lines.items()}


def _contradiction(told: torch.Tensor, shown: Direction) -> str | None:
    """What to say of up (3,) as it was told, in the first camera's axes; None where nothing that is seen denies it."""
    apart = math.degrees(math.acos(float((told / told.norm() @ shown.vector).clamp(-1, 1))))
    if apart < OTHERWISE or math.degrees(shown.spread) > SURE_UP:
        return None
    x, y, z = shown.vector.tolist()
    return f"up as it was told is {apart:.0f} degrees off what people and lines show ({x:.2f},{y:.2f},{z:.2f})"


def mean_acceleration(result: Result) -> dict[int, float]:
    """Mean acceleration of every person's joints, millimetres per frame squared, by person; not across cuts or gaps."""
    moving = mean_accelerations(result.joints3d, result.person, result.frame, result.shot, result.ticks)
    return {person: 1000 * value for person, value in moving.items()}


def doubts(result: Result) -> list[str]:
    """A line for what is hardly known of the worlds in which people are: the camera's motion, and up."""
    meta, lines = result.meta, []
    shots = [int(shot) for shot in np.unique(result.shot)] if meta.camera_motion else []
    frames = np.diff([*meta.shots, meta.start_frame + meta.frame_count])
    for unsure, what in (
        (
            [s for s in shots if meta.camera_confidence[s] < UNSURE and frames[s] > 1],
            "the background hardly shows how the camera moves",
        ),
        ([s for s in shots if meta.gravity_error[s] > TILTED], f"up is not known within {TILTED:.0f} degrees"),
    ):
        if unsure:
            others = f", and in {counted(len(unsure) - 1, 'more shot')}" if len(unsure) > 1 else ""
            lines.append(f"{meta.video}: from frame {meta.shots[unsure[0]]}{others}, {what}; its world is a guess")
    return lines


def _rows(track: Track, placed: InWorld, seen: Timeline, camera: VideoCamera) -> dict[str, NDArray[Any]]:
    """The record's rows of one person in one shot."""
    lifted = placed.lifted
    count = len(track.frames)
    moved = lifted.joints + lifted.transl[:, None]
    pose = torch.cat([rotmat_to_axis_angle(part) for part in torch.split(lifted.rotmat, 256)])
    rows: dict[str, NDArray[Any]] = {
        "frame": (track.frames + seen.first).astype(np.int32),
        "person": np.full(count, track.person, np.int32),
        "time": seen.times[track.frames],
        "pose": pose.numpy().astype(np.float32),
        "betas": lifted.betas.expand(count, -1).numpy().astype(np.float32),
        "betas_frame": lifted.betas_frame.numpy().astype(np.float32),
        "camera": lifted.camera.numpy().astype(np.float32),
        "camera_network": lifted.camera_network.numpy().astype(np.float32),
        "global_orient_network": rotmat_to_axis_angle(lifted.root_network).numpy().astype(np.float32),
        "box": track.crops.astype(np.float32),
        "transl": lifted.transl.numpy().astype(np.float32),
        "joints3d": (lifted.joints - lifted.joints[:, :1]).numpy().astype(np.float32),
        "joints2d": project_pinhole(moved, camera.focal_in(track.frames), camera.centre).numpy().astype(np.float32),
        "score": track.score.astype(np.float32),
        "interpolated": track.interpolated,
        "shot": np.full(count, track.shot, np.int32),
        "transl_world": placed.transl.numpy().astype(np.float32),
        "global_orient_world": rotmat_to_axis_angle(placed.root).numpy().astype(np.float32),
        "contact": placed.contact.numpy().astype(np.float32),
    }
    if lifted.joint_error is not None:
        rows["joint_error"] = lifted.joint_error.numpy().astype(np.float32)
    return rows
