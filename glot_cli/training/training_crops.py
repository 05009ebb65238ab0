"""Crops of drawn people: bodies whose truth is known, and what the real landmark network saw of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glot_cli.body.joints import mirror_rotmat
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import about_axis, pose6d_to_rotmat, rotmat_to_pose6d
from glot_cli.errors import InputError
from glot_cli.features.landmark_vector import LANDMARK_DIM, Landmarks, join, mirror_features, turn_features, unpack
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz
from glot_cli.motion.sampling import vary
from glot_cli.motion.viewing import ExactLandmarks, Placed, Targets, correlated_noise, view_exactly

# Arrays of a file of crops and the shapes of their rows, one a frame: the numbers of the clips, how the bodies were
# placed (see `Placed`), and the features seen.
_ARRAYS: dict[str, tuple[int, ...]] = {
    "clip": (),
    "pose6d": (24, 6),
    "betas": (10,),
    "pelvis": (3,),
    "box": (3,),
    "features": (LANDMARK_DIM,),
}
_LARGEST = 1e9  # of a value
ROLL = 20.0  # standard deviation of a camera's turn about its axis, degrees
RECROP = 0.02, 0.05  # standard deviations of a crop's shift, in its sides, and of the logarithm of its size
VARIED = 0.5  # share of windows whose people get another shape and pose
VARY_SCALE = 0.3, 1.0  # least and most of their joints' turns, times sampling.VARIATION
VARY_SHAPE = 0.7  # standard deviation of the change of their betas
SHAKEN = 0.008, 0.012  # of the noise that is added to landmarks: half crop sides, metres


class Crops:
    """N frames of drawn people, those of a clip consecutive.

    Attributes:
        features: (N, 264) what the landmark network saw.
        clip: (N,) number of the clip that each frame belongs to.
        rotmat: (N, 24, 3, 3) local rotations, the pelvis' own in the camera's frame.
        betas: (N, 10) shapes.
        pelvis: (N, 3) metres, camera's frame.
        box: (N, 3) crops, see `Placed`.
        exact: (N, 33, ...) where the landmarks are.
    """

    def __init__(self, arrays: dict[str, Tensor], body: Body, landmarks: LandmarkModel) -> None:
        self.features = arrays["features"].float()
        self.clip = arrays["clip"]
        self.rotmat = pose6d_to_rotmat(arrays["pose6d"].float())
        self.betas = arrays["betas"].float()
        self.pelvis = arrays["pelvis"].float()
        self.box = arrays["box"].float()
        exact: list[ExactLandmarks] = []
        for part in torch.split(torch.arange(len(self.clip)), 4096):
            placed = Placed(self.rotmat[part, None], self.betas[part], self.pelvis[part, None], self.box[part, None])
            exact.append(ExactLandmarks(*(x[:, 0] for x in view_exactly(placed, body, landmarks)[0])))
        self.exact = ExactLandmarks(*(torch.cat(x) for x in zip(*exact, strict=True)))
        self.landmarks = landmarks

    @staticmethod
    def load(paths: Sequence[Path], body: Body, landmarks: LandmarkModel, mirrored: bool = True) -> Crops:
        """Read and join files of crops.

        Args:
            paths: what `glot synth crops` made.
            body: the body that was drawn, or part of its surface.
            landmarks: where its landmarks sit.
            mirrored: take each file also as seen in a mirror.

        Raises:
            InputError: a file holds no crops.
        """
        parts: list[dict[str, Tensor]] = []
        clips = 0
        for path in paths:
            part = _read(path)
            for side in (part, mirror(part)) if mirrored else (part,):
                parts.append({**side, "clip": side["clip"] + clips})
                clips += int(part["clip"].max()) + 1
        return Crops({name: torch.cat([p[name] for p in parts]) for name in _ARRAYS}, body, landmarks)

    def window_starts(self, frames: int, stride: int = 1) -> Tensor:
        """First frames of all windows that lie within one clip: (W,)."""
        start = torch.arange(0, len(self.clip) - frames + 1)
        whole = self.clip[start] == self.clip[start + frames - 1]
        return start[whole][::stride]

    def draw(self, count: int, frames: int, body: Body, generator: torch.Generator) -> tuple[Tensor, Targets]:
        """Random windows and their truth, varied so that few are learnt by heart.

        Half of them run backwards, and VARIED of them show other people in other poses; all are seen by a camera that
        rolls, in crops laid a little otherwise, with a little more noise.

        Args:
            count: windows to draw.
            frames: of each window.
            body: the body that was drawn, or the part of its surface that the targets hold.
            generator: of everything random.

        Returns:
            Features (count, frames, 264), and targets.
        """
        starts = self.window_starts(frames)
        pick = starts[torch.randint(len(starts), (count,), generator=generator)]
        index = pick[:, None] + torch.arange(frames)
        index = half_backwards(index, generator)
        placed = Placed(self.rotmat[index], self.betas[pick], self.pelvis[index], self.box[index])
        exact = ExactLandmarks(*(x[index] for x in self.exact))
        features, placed = varied(self.features[index], placed, exact, body, self.landmarks, generator)
        features, placed = rolled(features, placed, generator)
        features, placed = recropped(features, placed, generator)
        return shaken(features, generator), view_exactly(placed, body, self.landmarks)[1]


def _read(path: Path) -> dict[str, Tensor]:
    """The arrays of one file of crops. Raises InputError where it holds none."""
    remedy = "make them with 'glot synth crops'"
    try:
        arrays = load_npz(path, _ARRAYS)
    except FileFault as error:
        raise error.about(path, InputError, remedy=remedy) from error
    for name, row in _ARRAYS.items():
        if name not in arrays:
            raise InputError(f"no crops with truth (has no array '{name}')", path=path, remedy=remedy)
        count = arrays["clip"].size
        if not count or arrays[name].shape != (count, *row) or arrays[name].dtype.kind not in "fiu":
            raise InputError(f"no crops with truth ({name} of shape {arrays[name].shape})", path=path, remedy=remedy)
        if not (np.abs(arrays[name]) <= _LARGEST).all():
            raise InputError(f"no crops with truth ({name} holds values that cannot be)", path=path, remedy=remedy)
    if arrays["clip"].dtype.kind == "f" or arrays["clip"].min() < 0:
        raise InputError("no crops with truth (clip holds no numbers of clips)", path=path, remedy=remedy)
    kinds = {name: np.int64 if name == "clip" else np.float32 for name in _ARRAYS}
    return {name: torch.from_numpy(arrays[name].astype(kinds[name], copy=False)) for name in _ARRAYS}


def half_backwards(index: Tensor, generator: torch.Generator) -> Tensor:
    """Windows of frame numbers (B, T), half of them, by chance, from the last frame to the first."""
    backwards = torch.rand(len(index), 1, generator=generator) < 0.5
    return torch.where(backwards, index.flip(1), index)


def varied(
    features: Tensor,
    placed: Placed,
    exact: ExactLandmarks,
    body: Body,
    landmarks: LandmarkModel,
    generator: torch.Generator,
) -> tuple[Tensor, Placed]:
    """Windows, some of them as if people of other shapes had moved a little otherwise.

    The landmark network is taken to err by as much as it did.

    Args:
        features: (B, T, 264) what it saw.
        placed: the bodies that were drawn.
        exact: (B, T, 33, ...) where their landmarks are.
        body: what was drawn, or part of its surface.
        landmarks: where its landmarks sit.
        generator: of everything random.

    Returns:
        Features (B, T, 264), and where the bodies are then.
    """
    other = placed._replace(
        rotmat=vary(placed.rotmat, VARY_SCALE, generator),
        betas=placed.betas + VARY_SHAPE * torch.randn(placed.betas.shape, generator=generator),
    )
    now = view_exactly(other, body, landmarks)[0]
    got = unpack(features)
    moved = join(
        got._replace(
            landmarks2d=got.landmarks2d + now.image - exact.image,
            z=got.z + now.depth - exact.depth,
            world=got.world + now.world - exact.world,
        )
    )
    pick = torch.rand(len(features), generator=generator) < VARIED
    return (
        torch.where(pick[:, None, None], moved, features),
        placed._replace(
            rotmat=torch.where(pick[:, None, None, None, None], other.rotmat, placed.rotmat),
            betas=torch.where(pick[:, None], other.betas, placed.betas),
        ),
    )


def rolled(features: Tensor, placed: Placed, generator: torch.Generator) -> tuple[Tensor, Placed]:
    """Windows (B, T, 264) as if the camera had been turned about its axis: one angle a window.

    The landmark network looks at people upright, so it is taken to err alike however they lean in the picture.
    """
    count, frames = features.shape[:2]
    angle = math.radians(ROLL) * torch.randn(count, generator=generator)
    turned = turn_features(features.flatten(0, 1), angle.repeat_interleave(frames))
    turn = about_axis(2, angle)[:, None]  # (B, 1, 3, 3)
    rotmat = torch.cat([(turn @ placed.rotmat[:, :, 0])[:, :, None], placed.rotmat[:, :, 1:]], 2)
    pelvis = (turn @ placed.pelvis.unsqueeze(-1)).squeeze(-1)
    centre = (turn[..., :2, :2] @ placed.box[..., :2].unsqueeze(-1)).squeeze(-1)
    box = torch.cat([centre, placed.box[..., 2:]], -1)
    return torch.unflatten(turned, 0, (count, frames)), placed._replace(rotmat=rotmat, pelvis=pelvis, box=box)


def recropped(features: Tensor, placed: Placed, generator: torch.Generator) -> tuple[Tensor, Placed]:
    """Windows (B, T, 264) as if their crops had been laid a little off, and larger or smaller.

    The landmark network is taken to mark the same points of the picture then.
    """
    count = len(features)
    shift = RECROP[0] * torch.randn(count, 1, 2, generator=generator)
    grow = torch.exp(RECROP[1] * torch.randn(count, 1, 1, generator=generator))
    box = torch.cat([placed.box[..., :2] + shift * placed.box[..., 2:], placed.box[..., 2:] * grow], -1)
    parts = unpack(features)
    moved = Landmarks(
        (parts.landmarks2d - 2 * shift[:, :, None]) / grow[..., None],
        parts.z / grow,
        parts.visibility,
        parts.presence,
        parts.world,
    )
    return join(moved), placed._replace(box=box)


def shaken(features: Tensor, generator: torch.Generator) -> Tensor:
    """Features (B, T, 264) with noise of SHAKEN in the landmarks, most of it slow."""
    parts = unpack(features)

    def noise(size: float, like: Tensor) -> Tensor:
        fast = torch.randn(like.shape, generator=generator)
        return size * (correlated_noise(tuple(like.shape), 0.93, generator) + 0.3 * fast)

    image = parts.landmarks2d + noise(SHAKEN[0], parts.landmarks2d)
    return join(parts._replace(landmarks2d=image, world=parts.world + noise(SHAKEN[1], parts.world)))


def mirror(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Crops as they would be had the camera looked into a mirror: left and right exchanged everywhere."""
    flip = torch.tensor([-1.0, 1.0, 1.0])
    pose6d = rotmat_to_pose6d(mirror_rotmat(pose6d_to_rotmat(arrays["pose6d"])))
    return {
        **arrays,
        "features": mirror_features(arrays["features"]),
        "pose6d": pose6d,
        "pelvis": arrays["pelvis"] * flip,
        "box": arrays["box"] * flip,
    }
