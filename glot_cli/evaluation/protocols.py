"""A network's errors on a whole data set of video features, by the rules that published figures follow.

Two sets of rules. `published` is what the released evaluation of GLoT does, with all that it does; `corrected` is the
same without its faults. They are written out with every result (`Evaluation.protocol`), for figures without them mean
little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.joints import COMMON_HIPS, COMMON_SLICE, H36M_TO_COMMON, SPIN_JOINTS, extra_joints, spin_joints
from glot_cli.body.model import Body, BodyOutput
from glot_cli.body.rotations import axis_angle_to_rotmat, pose6d_to_rotmat
from glot_cli.datasets.dataset import Dataset
from glot_cli.datasets.layouts import LAYOUTS
from glot_cli.errors import InputError, WeightsError
from glot_cli.evaluation.body_errors import Floats, MeanErrors, joint_errors, mean_errors, motion_errors
from glot_cli.lifting.windows import estimate
from glot_cli.models.fold import FoldedGLoT
from glot_cli.weights.bodies import load_arrays

Rules = Literal["published", "corrected"]

CHUNK = 256  # frames whose surfaces are held at once
TAIL = 7  # frames at a sequence's end whose windows the released evaluation lays in reverse

# Human3.6M's actions 2 to 16, in the order of their numbers.
H36M_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "TakingPhoto", "Waiting", "Walking", "WalkingDog", "WalkTogether",
)  # fmt: skip


@dataclass(frozen=True)
class JointSet:
    """Which joints are compared.

    Attributes:
        title: what they are, in words.
        columns: their places among SPIN's 49.
        root: those of them whose middle is the origin.
        root_title: what the origin is, in words.
        regressed: predicted joints come of the surface by J_regressor_h36m; else they are SPIN's.
    """

    title: str
    columns: tuple[int, ...]
    root: tuple[int, ...]
    root_title: str
    regressed: bool


COMMON = JointSet(
    "14 common joints, predicted ones regressed from the surface by J_regressor_h36m",
    tuple(range(*COMMON_SLICE.indices(len(SPIN_JOINTS)))), COMMON_HIPS, "middle of the two hips", regressed=True,
)  # fmt: skip
MPII3D = JointSet(
    "17 joints of MPI-INF-3DHP's test set, predicted ones SPIN's (J_regressor_extra)",
    tuple(SPIN_JOINTS.index(name) for name in LAYOUTS["mpii3d_test"]), (14,), "pelvis joint", regressed=False,
)  # fmt: skip


@dataclass(frozen=True)
class VideoErrors:
    """One video's errors, frame by frame.

    Attributes:
        name: of the video.
        rows: (n,) those of the data set that are compared.
        errors: by the fields of `BodyErrors`, metres and shares: (n,), accelerations fewer, () where there are none.
    """

    name: str
    rows: NDArray[np.int64]
    errors: dict[str, Floats] = field(repr=False)


@dataclass(frozen=True)
class Evaluation:
    """A network's errors on a data set.

    Attributes:
        protocol: what each figure means, in words.
        overall: means over all frames.
        by_action: means over those of each action.
        by_sequence: means over those of each video.
        sequences: the errors of every frame.
    """

    protocol: dict[str, str]
    overall: MeanErrors
    by_action: list[MeanErrors]
    by_sequence: list[MeanErrors]
    sequences: list[VideoErrors] = field(repr=False)


def joints_of(dataset: Dataset) -> JointSet:
    """The joints that figures on a data set are published for, by its name."""
    return MPII3D if dataset.name.startswith("mpii3d") else COMMON


def evaluate_dataset(
    network: FoldedGLoT,
    dataset: Dataset,
    body: Body,
    *,
    rules: Rules = "corrected",
    joints: JointSet | None = None,
    batch_size: int = 128,
) -> Evaluation:
    """Lift every video of a data set and compare it with its labels.

    Args:
        network: what lifts; its device is used.
        dataset: features and labels.
        body: SMPL with the shape space of the data set's labels (neutral, in published figures).
        rules: `published` repeats the released evaluation with its faults.
        joints: those compared; None: those that figures on the data set are published for.
        batch_size: windows lifted at once.

    Raises:
        InputError: the data set has no 3-D joints, or no frames that count.
        WeightsError: the network takes features of another size.
    """
    if dataset.joints3d is None:
        raise InputError("has no 3-D joints to compare with", path=dataset.folder, remedy="name another data set")
    if dataset.feature_dim != network.config.feature_dim:
        raise WeightsError(
            f"has {dataset.feature_dim} numbers a frame, but the network takes {network.config.feature_dim}",
            path=dataset.folder,
            remedy="name weights that fit",
        )
    evaluator = _Evaluator(network, dataset, body, joints or joints_of(dataset), rules, batch_size)
    sequences = [s for number in range(len(dataset.videos)) if (s := evaluator.sequence(number)) is not None]
    if not sequences:
        reason = "no video is long enough, or none has frames that count"
        raise InputError(reason, path=dataset.folder, remedy="name another data set of 'glot data list'")
    actions: dict[str, list[VideoErrors]] = {}
    for sequence in sequences:
        actions.setdefault(action_of(sequence.name), []).append(sequence)
    return Evaluation(
        evaluator.protocol(),
        _means("all", sequences),
        [_means(name, actions[name]) for name in sorted(actions)],
        [_means(sequence.name, [sequence]) for sequence in sequences],
        sequences,
    )


def action_of(video: str) -> str:
    """What is done in a video, by the names of Human3.6M (s_09_act_13_subact_01_ca_01) and 3DPW (courtyard_00_1)."""
    name = re.split(r"[/\\]", video)[-1]
    if (numbered := re.search(r"_act_(\d+)_", name)) and int(numbered[1]) - 2 in range(len(H36M_ACTIONS)):
        return H36M_ACTIONS[int(numbered[1]) - 2]
    return re.sub(r"([_ ]\d+)*(\.\d+)?(_\d+)*$", "", name) or name


def _means(name: str, sequences: list[VideoErrors]) -> MeanErrors:
    return mean_errors(name, [sequence.errors for sequence in sequences])


class _Evaluator:
    """A network, a data set and the rules: what makes the errors of one video after another."""

    def __init__(
        self, network: FoldedGLoT, dataset: Dataset, body: Body, joints: JointSet, rules: Rules, batch_size: int
    ) -> None:
        self.network, self.dataset, self.joints, self.rules = network, dataset, joints, rules
        self.batch_size = batch_size
        self.device = next(network.buffers()).device
        self.body = body.to(self.device)
        self.regressor = _h36m_regressor().to(self.device) if joints.regressed else None

    def protocol(self) -> dict[str, str]:
        """What every figure means, in words."""
        published = self.rules == "published"
        edges = "a sequence's first and last frame are repeated beyond its ends"
        if published:
            edges += f"; the last {TAIL} windows of every sequence in reverse, as the released evaluation lays them"
        return {
            "rules": self.rules,
            "joints": self.joints.title,
            "root": self.joints.root_title,
            "body": "the body that was named, neutral SMPL if none was, for predictions and for labels",
            "windows": f"{self.network.config.frames} frames, the middle one is answered for; {edges}",
            "frames": (
                "marked invalid: left out, as if never filmed; sequences shorter than a window: left out"
                if published
                else "marked invalid: left out, no window and no acceleration reaches across them"
            ),
            "mpjpe, pck, auc": "root on root; PCK within 150 mm, AUC over 0 to 150 mm in steps of 5",
            "pa_mpjpe": "after the best similarity transform, frame by frame",
            "mpvpe": (
                "all vertices, not centred" if published else "all vertices, pelvis joint on pelvis joint"
            ) + " (data sets with SMPL parameters)",
            "acceleration": "second differences of three frames in a row, in mm per frame squared, whatever the frame "
            "rate; the first and last frame have none",
        }  # fmt: skip

    def sequence(self, number: int) -> VideoErrors | None:
        """One video's errors; None when nothing of it counts."""
        dataset, frames = self.dataset, self.network.config.frames
        first, length = int(dataset.starts[number]), int(dataset.lengths[number])
        rows = first + np.flatnonzero(np.asarray(dataset.valid[first : first + length]))
        published = self.rules == "published"
        if not len(rows) or (published and len(rows) < frames):
            return None
        gaps = np.zeros(len(rows) - 1, bool) if published else np.diff(rows) != 1
        segment = np.concatenate([[0], np.cumsum(gaps)])
        mine, my_surface = self._predict(rows, segment)
        true = self._true_joints(rows)
        mine, true = (x - x[:, list(self.joints.root)].mean(1, keepdims=True) for x in (mine, true))
        counted = np.ones(len(rows), bool) if dataset.scored is None else np.asarray(dataset.scored[rows])
        if not counted.any():
            return None
        errors = {name: values[counted] for name, values in joint_errors(mine, true).items()}
        # A second difference stands at the middle of its three frames.
        moving = counted[1:-1] & (segment[:-2] == segment[2:])
        errors |= {name: values[moving] for name, values in motion_errors(mine, true).items()}
        errors["mpvpe"] = my_surface
        return VideoErrors(str(dataset.videos[number]), rows[counted], errors)

    def _predict(self, rows: NDArray[np.int64], segment: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Predicted joints (n, K, 3), and vertex errors (n,) where the data set has SMPL parameters, else (0,)."""
        features = torch.from_numpy(np.array(self.dataset.features[rows], np.float32))
        state = estimate(self.network, features, torch.from_numpy(segment), batch_size=self.batch_size)
        order = torch.arange(len(rows))
        if self.rules == "published":
            order[-TAIL:] = order[-TAIL:].flip(0)
        rotmat = pose6d_to_rotmat(torch.unflatten(state.pose6d[order], -1, (24, 6)))
        betas = state.shape[order]
        joints, surface = [], []
        with torch.inference_mode():
            for part in torch.split(torch.arange(len(rows)), CHUNK):
                output = self.body(rotmat[part].to(self.device), betas[part].to(self.device))
                joints.append(self._joints(output).cpu().double().numpy())
                if self.dataset.has_smpl:
                    surface.append(self._surface_error(output, rows[part.numpy()]))
        return np.concatenate(joints), np.concatenate(surface) if surface else np.zeros(0)

    def _joints(self, output: BodyOutput) -> torch.Tensor:
        """Predicted joints (n, K, 3), metres."""
        assert output.vertices is not None
        if self.regressor is not None:
            return extra_joints(self.body, output.vertices, self.regressor)[:, list(H36M_TO_COMMON)]
        return spin_joints(self.body, output)[:, list(self.joints.columns)]

    def _surface_error(self, output: BodyOutput, rows: NDArray[np.int64]) -> Floats:
        """Mean vertex error (n,), metres, of rows that have SMPL parameters."""
        assert self.dataset.pose is not None and self.dataset.betas is not None
        pose = torch.from_numpy(np.array(self.dataset.pose[rows], np.float32)).to(self.device)
        betas = torch.from_numpy(np.array(self.dataset.betas[rows], np.float32)).to(self.device)
        truth = self.body(axis_angle_to_rotmat(torch.unflatten(pose, -1, (24, 3))), betas)
        mine, true = output.vertices, truth.vertices
        assert mine is not None and true is not None
        if self.rules == "corrected":
            mine, true = mine - output.joints[:, :1], true - truth.joints[:, :1]
        errors: Floats = (mine - true).norm(dim=-1).mean(-1).cpu().double().numpy()
        return errors

    def _true_joints(self, rows: NDArray[np.int64]) -> Floats:
        """(n, K, 3) metres."""
        assert self.dataset.joints3d is not None
        return np.array(self.dataset.joints3d[rows], np.float64)[:, list(self.joints.columns)]


def _h36m_regressor() -> torch.Tensor:
    return torch.from_numpy(load_arrays("joints-h36m")["J_regressor"]).float()
