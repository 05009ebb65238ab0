"""The two regressors: HMR's iterative one (global) and the hierarchical spatial correlation one (local).

A state is (pose6d 144, shape 10, camera 3). Neither regressor holds a nonlinearity, so in evaluation each is one affine
map; `fold` uses that.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from glot_cli.models.glot_config import CAMERA_DIM, POSE6D_DIM, SHAPE_DIM, STATE_DIM, GLoTConfig
from glot_cli.smpl import NUM_JOINTS, ancestors


class State(NamedTuple):
    """Body parameters per token.

    Attributes:
        pose6d: (..., 144) 6-D rotations of 24 joints.
        shape: (..., 10).
        camera: (..., 3) weak-perspective: s, tx, ty.
    """

    pose6d: Tensor
    shape: Tensor
    camera: Tensor

    def cat(self) -> Tensor:
        """(..., 157)."""
        return torch.cat(self, dim=-1)

    @staticmethod
    def split(x: Tensor) -> State:
        """(..., 157) -> State."""
        return State(*torch.split(x, [POSE6D_DIM, SHAPE_DIM, CAMERA_DIM], dim=-1))

    def detach(self) -> State:
        return State(*(x.detach() for x in self))

    def tokens(self, index: slice) -> State:
        """The states of some tokens: (B, T, .) -> (B, Q, .)."""
        return State(*(x[:, index] for x in self))


class IterativeRegressor(nn.Module):
    """Regress a state from a feature by adding corrections, three times, to the mean parameters (HMR, section 3.2).

    HMR and SPIN have a second hidden layer, which the official GLoT leaves out; neither has an activation.
    """

    def __init__(self, config: GLoTConfig, second_layer: bool = False) -> None:
        super().__init__()
        self.iterations = config.iterations
        self.fc1 = nn.Linear(config.feature_dim + STATE_DIM, config.regressor_dim)
        self.second_layer = second_layer
        if second_layer:
            self.fc2 = nn.Linear(config.regressor_dim, config.regressor_dim)
        self.drop = nn.Dropout(config.regressor_dropout)
        self.decpose = nn.Linear(config.regressor_dim, POSE6D_DIM)
        self.decshape = nn.Linear(config.regressor_dim, SHAPE_DIM)
        self.deccam = nn.Linear(config.regressor_dim, CAMERA_DIM)
        self.mean_state: Tensor
        self.register_buffer("mean_state", torch.zeros(STATE_DIM))

    def forward(self, x: Tensor) -> State:
        """x (..., feature_dim) -> State (...)."""
        pose, shape, camera = State.split(self.mean_state.expand(*x.shape[:-1], -1))
        for _ in range(self.iterations):
            h = self.drop(self.fc1(torch.cat([x, pose, shape, camera], dim=-1)))
            h = self.drop(self.fc2(h)) if self.second_layer else h
            pose = pose + self.decpose(h)
            shape = shape + self.decshape(h)
            camera = camera + self.deccam(h)
        return State(pose, shape, camera)


class SpatialRegressor(nn.Module):
    """Hierarchical spatial correlation regressor (paper section 3.3).

    Joints in kinematic order, each correction seeing those of its ancestors; with `correction = "plain"` no joint sees
    another's.
    """

    def __init__(self, config: GLoTConfig) -> None:
        super().__init__()
        hidden = config.regressor_dim
        self.seen_by = [ancestors(j) if config.correction == "hierarchical" else [] for j in range(NUM_JOINTS)]
        self.column_step = 6 if config.hscr_columns == "joint" else 1
        self.shape_fc = nn.Linear(config.local_dim + SHAPE_DIM, hidden)
        self.pose_fc = nn.Linear(config.local_dim + POSE6D_DIM, hidden)
        self.shape_drop = nn.Dropout(config.regressor_dropout)
        self.pose_drop = nn.Dropout(config.regressor_dropout)
        self.joints = nn.ModuleList(nn.Linear(hidden + 6 * len(seen) + 6, 6) for seen in self.seen_by)
        self.decshape = nn.Linear(hidden, SHAPE_DIM)
        self.deccam = nn.Linear(2 * hidden + CAMERA_DIM, CAMERA_DIM)

    def forward(self, x: Tensor, start: State) -> State:
        """Correct the global estimate `start` (...) of frames by their tokens x (..., local_dim)."""
        h_shape = self.shape_drop(self.shape_fc(torch.cat([x, start.shape], dim=-1)))
        h_pose = self.pose_drop(self.pose_fc(torch.cat([x, start.pose6d], dim=-1)))
        deltas: list[Tensor] = []
        for j, regress in enumerate(self.joints):
            column = self.column_step * j
            own = start.pose6d[..., column : column + 6]
            deltas.append(regress(torch.cat([h_pose, *(deltas[a] for a in self.seen_by[j]), own], dim=-1)))
        return State(
            start.pose6d + torch.cat(deltas, dim=-1),
            start.shape + self.decshape(h_shape),
            start.camera + self.deccam(torch.cat([h_pose, h_shape, start.camera], dim=-1)),
        )
