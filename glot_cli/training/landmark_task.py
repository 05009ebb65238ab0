"""Training on landmarks: simulated windows, and windows of drawn people that the real landmark network has seen."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat, rotmat_to_pose6d
from glot_cli.camera import project_weak
from glot_cli.errors import InputError
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot import Estimate, GLoT
from glot_cli.models.regressors import State
from glot_cli.motion.motions import load_motions
from glot_cli.motion.viewing import Targets
from glot_cli.training import seeds
from glot_cli.training.config import LandmarkData, TrainConfig
from glot_cli.training.landmark_batches import LandmarkBatches
from glot_cli.training.losses import Prediction, loss_terms
from glot_cli.training.task import near_middle, share
from glot_cli.training.training_crops import Crops
from glot_cli.training.validation import FIGURES, evaluate_crops, evaluate_simulated


class LandmarkTask:
    """The open preset's training; see `Task`.

    Args:
        config: the run.
        data: its data.
        device: what losses are computed on.

    Raises:
        InputError: files are missing or wrong.
        WeightsError: the open body is not there.
    """

    feature_dim = SKELETON_DIM

    def __init__(self, config: TrainConfig, data: LandmarkData, device: torch.device) -> None:
        if not data.motions:
            remedy = "name files in the configuration ([landmarks] motions = [...]) or give them to 'glot train'"
            raise InputError("no motions to train on", remedy=remedy)
        self.config, self.data, self.device = config, data, device
        self.whole_body = Body.load(weights.locate("open-body"))
        points = np.random.default_rng(config.seed).choice(self.whole_body.num_vertices, data.vertices, replace=False)
        body = self.whole_body.subset(np.sort(points))
        landmarks = LandmarkModel()
        files = files_of(data.crops)
        crops = Crops.load(files, body, landmarks) if files else None
        motions = load_motions(data.motions, config.model.frames + 1)
        self.batches = LandmarkBatches(data, config.model.frames, motions, body, landmarks, crops)
        self.body = self.whole_body.subset(np.sort(points)).to(device)
        self.val_motions = {name: load_motions([path]) for name, path in _named(data.val_motions).items()}
        self.val_crops = {
            name: Crops.load(files_of([path]), body, landmarks, mirrored=False)
            for name, path in _named(data.val_crops).items()
        }

    def draw(self, update: int, part: int, parts: int) -> tuple[Tensor, Targets]:
        count = len(share(self.config.batch_size, part, parts))
        return self.batches.draw(count, seeds.generator(self.config.seed, seeds.DATA, update, part))

    def terms(self, estimate: Estimate, labels: Targets, dropped: Tensor | None) -> dict[str, Tensor]:
        target = self._target(labels)
        loss = self.config.loss
        near = target.frames(near_middle(self.config.model.frames))
        rows: dict[str, Tensor] = {}
        if estimate.initial is not None:
            everywhere = loss_terms(self._predict(estimate.initial), target, loss, dropped)
            rows |= {f"global.{name}": value for name, value in everywhere.items()}
        if self.config.model.branches != "global":
            middle = loss_terms(self._predict(estimate.final), near, loss)
            rows |= {f"local.{name}": value for name, value in middle.items()}
        return rows

    def mean_state(self) -> Tensor:
        """Upright, facing the camera, arms hanging, mean shape, filling the crop."""
        rotmat = torch.eye(3).repeat(24, 1, 1)
        rotmat[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        for joint, angle in ((16, -1.1), (17, 1.1)):  # shoulders, about z
            cos, sin = math.cos(angle), math.sin(angle)
            rotmat[joint, :2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
        return torch.cat([rotmat_to_pose6d(rotmat).flatten(), torch.zeros(10), torch.tensor([0.9, 0.0, 0.0])])

    def validate(self, model: GLoT) -> dict[str, float]:
        """Of the whole lifting after the landmarks, each file or folder by its name, crops of drawn people first.

        Before all stands the mean over the crops, or over the motions where there are no crops.
        """
        network = FoldedGLoT(model.cpu())
        body = self.whole_body
        found = {f"crops.{name}": evaluate_crops(network, crops, body) for name, crops in self.val_crops.items()}
        first = len(found) or len(self.val_motions)
        for name, motions in self.val_motions.items():
            found[f"simulated.{name}"] = evaluate_simulated(network, motions, body, views=1)
        if not found:
            return {}
        decides = FIGURES[0]
        mean = sum(getattr(errors, decides) for errors in list(found.values())[:first]) / first
        rows = {f"{of}.{name}": getattr(errors, name) for of, errors in found.items() for name in FIGURES}
        return {decides: mean, **rows}

    def _predict(self, state: State) -> Prediction:
        """Posed bodies of states (B, T, .), pelvis at the origin."""
        batch, frames = state.camera.shape[:2]
        rotmat = pose6d_to_rotmat(torch.unflatten(state.pose6d.float(), -1, (24, 6)))
        betas, camera = state.shape.float(), state.camera.float()
        output = self.body(rotmat.flatten(0, 1), betas.flatten(0, 1))
        joints = torch.unflatten(output.joints, 0, (batch, frames))
        pelvis = joints[:, :, :1]
        assert output.vertices is not None
        vertices = torch.unflatten(output.vertices, 0, (batch, frames)) - pelvis
        return Prediction(rotmat, betas, joints - pelvis, project_weak(joints, camera), vertices)

    def _target(self, labels: Targets) -> Prediction:
        """What `_predict` should give."""
        labels = Targets(*(x.to(self.device) for x in labels))
        pelvis = labels.joints[:, :, :1]
        return Prediction(
            labels.rotmat,
            labels.betas.unsqueeze(1).expand(-1, labels.rotmat.shape[1], -1),
            labels.joints - pelvis,
            project_weak(labels.joints, labels.camera),
            labels.vertices - pelvis,
        )


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Paths by their own names without a suffix; by the whole of them where two have the same."""
    short = [path.stem for path in paths]
    return {name if short.count(name) == 1 else str(path): path for name, path in zip(short, paths, strict=True)}


def files_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Files as they are, and the .npz files of folders, sorted.

    Raises:
        InputError: a folder holds none.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.npz")) if os.path.isdir(path) else [path]
        if not inside:
            raise InputError("no .npz files there", path=path, remedy="make them with 'glot synth crops'")
        files += inside
    return tuple(files)
