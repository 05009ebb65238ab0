"""How far off each joint may be: the radius within which the true one lies with a probability of 80 %.

A small network reads it off the evidence for every joint: how sure its landmarks are, how far the body lies from them,
from the detector's keypoints, from the landmark network's own 3D and from the temporal network's answer, whether the
picture cuts the person off, how large, how fast and how turned they are. It was trained by quantile regression
(Koenker and Bassett, 1978) on drawn clips, whose truth is known (`weights/recipes/make_confidence.py`).

Shapes: N frames of one person's track, 24 joints, SIGNS numbers of evidence for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from glot_cli.body.landmarks import LANDMARK_HIPS, LANDMARK_NAMES, LANDMARK_SHOULDERS, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat, turn_root
from glot_cli.camera import Focal, from_crop, project_pinhole, ray_rotation
from glot_cli.errors import WeightsError, one_line
from glot_cli.features.landmark_vector import Landmarks
from glot_cli.lifting.placing import Lifted
from glot_cli.models.regressors import State
from glot_cli.smoothing import whittaker
from glot_cli.smpl import NUM_JOINTS, SMPL_JOINTS, SMPL_MIRROR, SMPL_PARENTS
from glot_cli.tracking.detector import COCO_KEYPOINTS
from glot_cli.tracking.tracks import Track

QUANTILE = 0.8  # of the true errors that the radius holds
SMOOTH_HZ = 2.0  # radii change no faster
LEAST, MOST = 0.004, 2.0  # metres
CHUNK = 256  # frames whose evidence is held at once
HIDDEN = 16
SIGNS = 33
LOOKED_AT = 256  # pixels of a crop's side that the landmark network sees; larger ones show it no more
UNSEEN_S = 1.0  # seconds from the nearest detection; more tells nothing new
HIPS = [SMPL_JOINTS.index("left_hip"), SMPL_JOINTS.index("right_hip")]
# One number a joint, left and right sharing it.
KINDS = sorted({min(joint, SMPL_MIRROR[joint]) for joint in range(NUM_JOINTS)})
KIND = [KINDS.index(min(joint, SMPL_MIRROR[joint])) for joint in range(NUM_JOINTS)]
_SMALL = 1e-3

# The landmarks that tell of each joint: of one side where the joint has one.
_TELLING = {
    "pelvis": ("left_hip", "right_hip"),
    "spine1": ("left_hip", "right_hip"),
    "spine2": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "spine3": ("left_shoulder", "right_shoulder"),
    "neck": ("left_shoulder", "right_shoulder"),
    "head": ("nose", "left_ear", "right_ear"),
    "hip": ("hip",),
    "knee": ("knee",),
    "ankle": ("ankle",),
    "foot": ("foot_index", "heel"),
    "collar": ("shoulder",),
    "shoulder": ("shoulder",),
    "elbow": ("elbow",),
    "wrist": ("wrist",),
    "hand": ("index", "pinky"),
}


def _weights(names: tuple[str, ...], instead: dict[str, str]) -> Tensor:
    """(24, len(names)): what each of the named points counts for each joint; rows sum to 1."""
    weights = torch.zeros(NUM_JOINTS, len(names))
    for row, joint in enumerate(SMPL_JOINTS):
        side, _, part = joint.rpartition("_")
        told = [f"{side}_{one}" if side else one for one in _TELLING[part]]
        for name in told:
            weights[row, names.index(instead.get(name, name))] += 1 / len(told)
    return weights


_NO_KEYPOINT = {
    f"{side}_{one}": f"{side}_{other}"
    for side in ("left", "right")
    for one, other in (("foot_index", "ankle"), ("heel", "ankle"), ("index", "wrist"), ("pinky", "wrist"))
}
BY_LANDMARK, BY_KEYPOINT = _weights(LANDMARK_NAMES, {}), _weights(COCO_KEYPOINTS, _NO_KEYPOINT)
KEYPOINT_LANDMARKS = [LANDMARK_NAMES.index(name) for name in COCO_KEYPOINTS]
BELOW_FACE = slice(LANDMARK_SHOULDERS[0], None)  # of the landmarks


@dataclass(frozen=True)
class Findings:
    """All that is known of a person's track where bodies were lifted, in N frames of it.

    Attributes:
        track: the person; all frames.
        rows: (N,) which of them.
        seen: (N, 33, .) landmarks.
        state: (N, .) what the temporal network said.
        lifted: (N, .) what was made of it.
        fps: ticks per second.
        focal: focal length, pixels: of all, or (N,) of a lens that zooms.
        centre: (2,) principal point, the middle of the picture, pixels.
    """

    track: Track
    rows: Tensor
    seen: Landmarks
    state: State
    lifted: Lifted
    fps: float
    focal: Focal
    centre: Tensor

    def part(self, index: slice) -> Findings:
        """Some frames of it."""
        lifted = replace(
            self.lifted,
            rotmat=self.lifted.rotmat[index],
            transl=self.lifted.transl[index],
            joints=self.lifted.joints[index],
        )
        seen, state = Landmarks(*(x[index] for x in self.seen)), State(*(x[index] for x in self.state))
        focal = self.focal[index] if isinstance(self.focal, Tensor) else self.focal
        return replace(self, rows=self.rows[index], seen=seen, state=state, lifted=lifted, focal=focal)


class Course(NamedTuple):
    """What neighbouring frames tell.

    Attributes:
        speed: (N, 24) of the joints beside the hips, metres a second.
        unseen: (N,) seconds to the nearest frame in which the detector saw the person.
    """

    speed: Tensor
    unseen: Tensor


def course(found: Findings) -> Course:
    """See `Course`; nothing is counted across a gap."""
    track, rows = found.track, found.rows.numpy()
    seconds, segment = track.ticks / found.fps, track.segment[rows]
    joints = centred(found.lifted.joints)
    apart = np.diff(seconds[rows])
    step = (joints[1:] - joints[:-1]).norm(dim=-1) / torch.from_numpy(np.maximum(apart, 1e-6)).float()[:, None]
    step[torch.from_numpy(np.diff(segment) != 0)] = 0
    ends = torch.cat([step[:1], step, step[-1:]]) if len(step) else torch.zeros(2, NUM_JOINTS)
    seen = seconds[~track.interpolated]
    if not len(seen):
        return Course((ends[1:] + ends[:-1]) / 2, torch.full((len(rows),), UNSEEN_S))
    after = np.searchsorted(seen, seconds[rows])
    near = [np.abs(seconds[rows] - seen[np.clip(after - back, 0, len(seen) - 1)]) for back in (0, 1)]
    unseen = torch.from_numpy(np.minimum(*near)).float().clamp_max(UNSEEN_S)
    return Course((ends[1:] + ends[:-1]) / 2, unseen)


def evidence(found: Findings, moving: Course, body: Body, landmarks: LandmarkModel) -> Tensor:
    """What tells how far off joints are: (N, 24, SIGNS); NaN where it is not known.

    Args:
        found: some frames of a track.
        moving: what their neighbours tell.
        body: that was posed.
        landmarks: where they sit on it.
    """
    track, rows, seen, lifted = found.track, found.rows.numpy(), found.seen, found.lifted
    crops = torch.from_numpy(track.crops[rows])
    size = crops[:, 2:]  # pixels
    posed = body(lifted.rotmat, lifted.betas.expand(len(rows), -1), vertices=False)
    points = landmarks(posed)
    pixels = project_pinhole(points + lifted.transl[:, None], found.focal, found.centre)
    marked = from_crop(seen.landmarks2d, crops)
    turn = ray_rotation(crops[:, :2], found.focal, found.centre)
    world = seen.world @ turn.mT
    world = world - world[:, LANDMARK_HIPS].mean(1, keepdim=True)
    beside = points - points[:, LANDMARK_HIPS].mean(1, keepdim=True) - world
    rotmat = turn_root(turn, pose6d_to_rotmat(torch.unflatten(found.state.pose6d, -1, (NUM_JOINTS, 6))))
    joints = centred(lifted.joints)
    moved = joints - centred(body(rotmat, lifted.betas.expand(len(rows), -1), vertices=False).joints)
    places = project_pinhole(lifted.joints + lifted.transl[:, None], found.focal, found.centre)
    beyond = torch.maximum(-places, places - 2 * found.centre).amax(-1) / size  # crop sides out of the picture
    chain = [max(0, parent) for parent in SMPL_PARENTS]
    bones = joints - joints[:, chain]
    root = lifted.rotmat[:, 0]

    off = (pixels - marked).norm(dim=-1) / size
    presence = seen.presence.clamp_min(0.02).log()
    own = presence @ BY_LANDMARK.T
    if track.keypoints is None:
        strayed, known = torch.full_like(joints[..., 0], torch.nan), torch.full_like(joints[..., 0], torch.nan)
    else:
        keypoints = torch.from_numpy(track.keypoints[rows])
        sure = keypoints[..., 2]
        strays = (keypoints[..., :2] - pixels[:, KEYPOINT_LANDMARKS]).norm(dim=-1) / size * sure
        strayed, known = strays @ BY_KEYPOINT.T, sure @ BY_KEYPOINT.T
    of_joints = [
        own,
        own[:, chain],
        seen.visibility @ BY_LANDMARK.T,
        _log(off @ BY_LANDMARK.T, 0.005),
        _log(beside.norm(dim=-1) @ BY_LANDMARK.T, 0.01),
        _log(beside[..., 2].abs() @ BY_LANDMARK.T, 0.01),
        _log(moved.norm(dim=-1), 0.005),
        _log(strayed, 0.005),
        known,
        beyond.clamp(-0.15, 0.6),
        joints[..., 2].abs(),
        joints.norm(dim=-1),
        bones[..., 2].abs() / bones.norm(dim=-1).clamp_min(_SMALL),
        _log(moving.speed, 0.1),
    ]
    body_presence = presence[:, BELOW_FACE].mean(1)
    trunk = joints[:, SMPL_JOINTS.index("neck")]
    of_body = [
        body_presence,
        presence[:, [*LANDMARK_HIPS, *LANDMARK_SHOULDERS]].mean(1),
        presence[:, BELOW_FACE].amin(1),
        seen.visibility[:, BELOW_FACE].mean(1),
        _log(off[:, BELOW_FACE].mean(1), 0.005),
        _log(beside[:, BELOW_FACE].norm(dim=-1).mean(1), 0.01),
        _log(moved.norm(dim=-1).mean(1), 0.005),
        _log(strayed.mean(1), 0.005),
        known.mean(1),
        beyond.clamp(-0.15, 0.6).mean(1),
        size[:, 0].clamp(1, LOOKED_AT).log(),
        (size[:, 0] / found.focal).clamp_min(_SMALL).log(),
        torch.from_numpy(track.score[rows]).float(),
        torch.from_numpy(track.interpolated[rows]).float(),
        moving.unseen,
        root[:, 2, 2],  # which way the chest looks: -1 into the camera
        root[:, 0, 2].abs(),
        root[:, 1, 1],  # -1 upright
        trunk[:, 2].abs(),
    ]
    everywhere = torch.stack(of_body, -1)[:, None].expand(-1, NUM_JOINTS, -1)
    return torch.cat([torch.stack(of_joints, -1), everywhere], -1)


def centred(joints: Tensor) -> Tensor:
    """Joints (..., 24, 3) from the middle of both hips, as errors are measured."""
    return joints - joints[..., HIPS, :].mean(-2, keepdim=True)


def smoothed(values: Tensor, segment: Tensor, ticks: Tensor, fps: float) -> Tensor:
    """Logarithms of radii (N, 24) over time, at no more than SMOOTH_HZ; not across gaps."""
    out = torch.empty_like(values)
    for number in torch.unique(segment):
        own = segment == number
        smooth = whittaker(values[own].double().numpy(), SMOOTH_HZ / fps, times=ticks[own].double().numpy())
        out[own] = torch.from_numpy(smooth).to(values.dtype)
    return out


def _log(values: Tensor, least: float) -> Tensor:
    return (values + least).log()


class JointErrors(nn.Module):
    """Evidence to logarithms of radii."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SIGNS))
        self.register_buffer("scale", torch.ones(SIGNS))
        self.kind = nn.Embedding(len(KINDS), HIDDEN)
        self.first, self.last = nn.Linear(SIGNS, HIDDEN), nn.Linear(HIDDEN, 1)
        self.own = nn.Embedding(len(KINDS), 1)

    @classmethod
    def load(cls, path: Path) -> JointErrors:
        """Read the weights. Raises WeightsError where they are none of this network."""
        from safetensors.torch import load_file

        network = cls()
        try:
            network.load_state_dict(load_file(path))
        except Exception as error:  # of OSError, of the library's own, and of shapes that do not fit
            reason = f"does not hold what tells how far off joints are ({one_line(error, 200)})"
            raise WeightsError(reason, path=path, remedy="put an intact file there, or remove it") from error
        return network.eval().requires_grad_(False)

    def forward(self, signs: Tensor) -> Tensor:
        """Evidence (..., 24, SIGNS) to logarithms of metres (..., 24). What is not known counts as the usual."""
        usual = torch.nan_to_num((signs - self.mean) / self.scale, nan=0.0).clamp(-4, 4)
        kinds = torch.tensor(KIND)
        hidden = torch.tanh(self.first(usual) + self.kind(kinds))
        answer: Tensor = (self.last(hidden) + self.own(kinds)).squeeze(-1)
        return answer

    @torch.inference_mode()
    def radii(self, found: Findings, body: Body, landmarks: LandmarkModel) -> Tensor:
        """The radius (N, 24) about every joint, metres, within which the true one lies with a probability of QUANTILE.

        Both are seen from the middle of the hips, in the camera's axes.

        Args:
            found: all that is known of a track.
            body: that was posed.
            landmarks: where they sit on it.
        """
        moving = course(found)
        parts = []
        for start in range(0, len(found.rows), CHUNK):
            index = slice(start, start + CHUNK)
            parts.append(self(evidence(found.part(index), Course(*(x[index] for x in moving)), body, landmarks)))
        segment, ticks = (torch.from_numpy(x[found.rows.numpy()]) for x in (found.track.segment, found.track.ticks))
        return smoothed(torch.cat(parts), segment, ticks, found.fps).exp().clamp(LEAST, MOST)
