"""The truth of a film as a record like that of `glot run`: who was where, in which pose, frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from glot_cli import weights
from glot_cli._version import __version__
from glot_cli.body.model import Body
from glot_cli.body.rotations import rotmat_to_axis_angle, turn_root
from glot_cli.camera import camera_from_translation, project_pinhole
from glot_cli.results import Result
from glot_cli.schema import Meta
from glot_cli.synth.acting import Actor
from glot_cli.synth.placement import Camera, rotation
from glot_cli.synth.request import ClipRequest
from glot_cli.synth.wardrobe import BODY
from glot_cli.world.soles import Soles, soles_of

CROP_SCALE = 1.25  # side of a record's box over the longer side of the person's, as the open preset cuts it
STILL, LOW = 0.25, 0.06  # metres a second and metres above the floor: what is slower and lower rests on it


def truth_record(
    camera: Camera, actors: list[Actor], visible: np.ndarray, body: Body, clip: Path, request: ClipRequest
) -> Result:
    """The record of everyone in a film.

    Args:
        camera: that filmed, T frames.
        actors: the people, P.
        visible: (T, P) shares of their outlines to be seen, which become `score`.
        body: the open body, which they are.
        clip: the film's file.
        request: what was asked for.
    """
    frames = len(camera.angles)
    world = _World(camera)
    soles = soles_of(body)
    people = [
        _rows(camera, actor, body) | _world_rows(world, actor, body, soles, float(request.fps)) for actor in actors
    ]
    for number, rows in enumerate(people, 1):
        rows |= {
            "frame": np.arange(frames, dtype=np.int32),
            "person": np.full(frames, number, np.int32),
            "time": np.arange(frames) / float(request.fps),
            "score": visible[:, number - 1].astype(np.float32),
            "interpolated": np.zeros(frames, bool),
            "shot": np.zeros(frames, np.int32),
        }
    meta = Meta(
        video=clip.name,
        source=str(clip.resolve()),
        width=camera.size[0],
        height=camera.size[1],
        fps=str(request.fps),
        frame_count=frames,
        start_frame=0,
        focal_length=float(np.median(camera.focals)),
        body_model=BODY,
        body_model_sha256=weights.sha256(weights.locate(BODY)),
        preset="truth",
        weights={},
        program_version=__version__,
        shots=[0],
        camera_motion=["travelling" if camera.travels else "rotating" if camera.turns else "static"],
        camera_confidence=[1.0],
        gravity_error=[0.0],
        floor=[[*world.rotations[0, :, 1].tolist(), camera.height]],
    )
    cameras = {
        "camera_rotation": world.rotations,
        "camera_translation": world.translations,
        "camera_focal_length": camera.focals,
    }
    return Result(
        {name: np.concatenate([rows[name] for rows in people]) for name in people[0]},
        meta,
        {name: values.astype(np.float32) for name, values in cameras.items()},
    )


class _World:
    """The world of a record: its origin is the floor below the first camera, which looks along -z.

    Attributes:
        turn: (3, 3) from the axes in which a film is made to those of this world.
        rotations: (T, 3, 3) from its axes to the camera's.
        translations: (T, 3) of its origin in the camera's frame, metres.
    """

    def __init__(self, camera: Camera) -> None:
        self.turn = np.diag([1.0, -1.0, -1.0]) @ rotation([float(camera.angles[0, 0]), 0.0, 0.0])
        self._origin = camera.positions[0] * [1, 0, 1]
        self.rotations = camera.rotations @ self.turn.T
        self.translations = -np.einsum("tij,tj->ti", self.rotations, self.of(camera.positions))

    def of(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the film in this world, metres."""
        return np.asarray((points - self._origin) @ self.turn.T)


def _world_rows(world: _World, actor: Actor, body: Body, soles: Soles, fps: float) -> dict[str, np.ndarray]:
    """What a record holds of one person in the world."""
    rotmat = turn_root(torch.from_numpy(world.turn).float(), actor.rotmat)
    betas = actor.betas.expand(len(rotmat), -1)
    rest = body(rotmat, betas, vertices=False).joints[:, 0].double().numpy()
    transl = world.of(actor.joints[:, 0]) - rest
    feet = soles.points(soles.body(rotmat, betas)).numpy() + transl[:, None]
    speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * fps
    rests = (speed < STILL) & (feet[..., 1] < LOW)
    orient = rotmat_to_axis_angle(rotmat[:, 0]).numpy()
    return {
        "transl_world": transl.astype(np.float32),
        "global_orient_world": orient,
        "contact": rests.astype(np.float32),
    }


def _rows(camera: Camera, actor: Actor, body: Body) -> dict[str, np.ndarray]:
    """What the camera's frame and the picture hold of one person."""
    centre = torch.from_numpy(camera.centre).float()

    def seen(points: np.ndarray) -> torch.Tensor:
        """World points (T, N, 3) in the camera's frame."""
        return torch.from_numpy(camera.sees(points)).float()

    rotmat = turn_root(torch.from_numpy(camera.rotations).float(), actor.rotmat)
    betas = actor.betas.expand(len(rotmat), -1)
    joints = body(rotmat, betas, vertices=False).joints
    transl = seen(actor.joints[:, :1])[:, 0] - joints[:, 0]
    focal = camera.focal if camera.zoom is None else torch.from_numpy(camera.focals).float()
    pixels = project_pinhole(seen(actor.vertices), focal, centre)
    low, high = pixels.amin(1), pixels.amax(1)
    box = torch.cat([(low + high) / 2, (high - low).amax(-1, keepdim=True) * CROP_SCALE], -1)
    weak = camera_from_translation(transl, box, joints[:, 0], focal, centre)
    rows = {
        "pose": rotmat_to_axis_angle(rotmat),
        "betas": betas,
        "betas_frame": betas,
        "camera": weak,
        "camera_network": weak,
        "box": box,
        "transl": transl,
        "joints3d": joints - joints[:, :1],
        "joints2d": project_pinhole(joints + transl[:, None], focal, centre),
    }
    return {name: values.numpy() for name, values in rows.items()}
