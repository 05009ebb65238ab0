"""How far glot is from the official GLoT and SPIN, output by output, on stand-ins for their weights.

    python tests/parity/table.py

Prints a row for every array of `expected.npz`: largest absolute error, scale of the array, and whether it holds to
1e-4 of that scale. Exit status 1 when one does not. Everything runs in float32 on the CPU (`--device` names another).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from glot_cli.body.joints import H36M_TO_COMMON, SpinJoints, extra_joints, spin_joints
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, pose6d_to_rotmat, rotmat_to_axis_angle
from glot_cli.camera import project_official
from glot_cli.features.spin_net import SpinNetwork
from glot_cli.metrics import acceleration, acceleration_error, mpjpe, pa_mpjpe
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.global_motion import random_masking
from glot_cli.models.glot import GLoT
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.official import rename_glot, rename_spin
from glot_cli.models.regressors import State
from glot_cli.training.dataset_task import branch_terms
from glot_cli.training.losses import LossConfig
from glot_cli.training.published_losses import Labels
from tests.parity import standins

TOLERANCE = 1e-4  # of an array's own scale
INPUTS = {"train.mask_noise"}  # given, not computed
HIPS = slice(2, 4)


@dataclass(frozen=True)
class Row:
    name: str
    error: float
    scale: float

    @property
    def holds(self) -> bool:
        return self.error <= TOLERANCE * self.scale


@dataclass(frozen=True)
class Outputs:
    """What the official network returns for tokens (B, Q): theta is camera 3, axis-angle 72, betas 10."""

    theta: Tensor
    kp_2d: Tensor
    kp_3d: Tensor
    rotmat: Tensor
    verts: Tensor


def numbers(array: np.ndarray, device: str = "cpu") -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def official_glot() -> GLoT:
    """The network with the stand-in weights, in evaluation mode."""
    model = GLoT(GLoTConfig())
    state = {name: numbers(value) for name, value in standins.state("glot").items()}
    renamed = rename_glot(state)
    model.load_state_dict(renamed | {"global_motion.regressor.mean_state": numbers(standins.mean_state())})
    return model.eval()


def spin_network(folder: Path) -> SpinNetwork:
    """SPIN with the stand-in weights, read from a file as in a run."""
    state = {name: numbers(value) for name, value in standins.state("spin").items()}
    path = folder / "spin.safetensors"
    save_file(rename_spin(state), path)
    network = SpinNetwork.load(path)
    network.regressor.mean_state.copy_(numbers(standins.mean_state()))
    return network


def body() -> Body:
    """The stand-in body with the stand-in of SPIN's extra joints."""
    return Body({**standins.smpl(), "J_regressor_extra": standins.joints_extra()})


def outputs(state: State, smpl: Body) -> Outputs:
    """Everything the official network makes of a state (B, Q, .)."""
    batch = state.pose6d.shape[:-1]
    rotmat = pose6d_to_rotmat(state.pose6d.unflatten(-1, (24, 6)))
    posed = smpl(rotmat.flatten(0, -4), state.shape.flatten(0, -2))
    assert posed.vertices is not None
    joints = spin_joints(smpl, posed).unflatten(0, batch)
    axis_angle = rotmat_to_axis_angle(rotmat).flatten(-2)
    theta = torch.cat([state.camera, axis_angle, state.shape], -1)
    return Outputs(theta, project_official(joints, state.camera), joints, rotmat, posed.vertices.unflatten(0, batch))


def inference(model: torch.nn.Module, smpl: Body, device: str) -> dict[str, Tensor]:
    """Names of `expected` -> ours, for the middle frames of four windows."""
    estimate = model(numbers(standins.features(), device))
    result = {}
    for branch, state in (("final", estimate.final), ("global", estimate.initial)):
        out = outputs(state, smpl)
        for name, value in vars(out).items():
            value = value[..., ::137, :] if name == "verts" else value
            result[f"infer.{branch}.{name}"] = value[:, 0] if branch == "final" else value
        if branch == "final":
            joints = extra_joints(smpl, out.verts[:, 0], numbers(standins.joints_h36m(), device))
            result["infer.final.kp_3d_h36m14"] = joints[:, list(H36M_TO_COMMON)]
    return result


def training(model: GLoT, smpl: Body, noise: np.ndarray, device: str) -> dict[str, Tensor]:
    """The masked training forward and its loss terms."""
    masking = random_masking(numbers(noise, device), 0.5)
    estimate = model.forward_train(numbers(standins.features(), device), masking)
    result = {"train.mask": masking.dropped[..., None]}
    given = {name: numbers(value, device) for name, value in standins.labels().items()}
    pose = given.pop("pose").unflatten(-1, (24, 3))
    labels = Labels(rotmat=axis_angle_to_rotmat(pose), **given)
    for branch, state in (("final", estimate.final), ("global", estimate.initial)):
        out = outputs(state, smpl)
        for name in ("theta", "kp_2d", "kp_3d"):
            result[f"train.{branch}.{name}"] = getattr(out, name)
    # The terms as a training run computes them.
    joints, config = SpinJoints(smpl).to(device), LossConfig(released_mean=True)
    scored = branch_terms(estimate, labels, joints, config, masking.dropped)
    official = {"keypoints2d": "kp_2d", "keypoints3d": "kp_3d", "motion2d": "accel_2d", "motion3d": "accel_3d"}
    for name, value in scored.items():
        branch, term = name.split(".")
        result[f"loss.loss_{official.get(term, term)}_{'mae' if branch == 'global' else 'short'}"] = value
    return result


def metrics() -> dict[str, np.ndarray]:
    predicted, true = (joints - joints[:, HIPS].mean(1, keepdims=True) for joints in standins.metric_joints())
    return {
        "metric.mpjpe": mpjpe(predicted, true),
        "metric.pa_mpjpe": pa_mpjpe(predicted, true),
        "metric.accel": acceleration(predicted),
        "metric.accel_err": acceleration_error(predicted, true),
    }


def spin(folder: Path, smpl: Body, device: str) -> dict[str, Tensor]:
    network = spin_network(folder).to(device)
    features = network(numbers(standins.crops(), device))
    state = network.regressor(features)
    return {"spin.features": features, "spin.theta": outputs(State(*(x[:, None] for x in state)), smpl).theta[:, 0]}


@torch.inference_mode()
def rows(device: str = "cpu") -> list[Row]:
    """Every array of `expected` against ours; `folded` rows compare the form that a run uses."""
    expected = standins.expected()
    smpl = body().to(device)
    model = official_glot().to(device)
    ours: dict[str, np.ndarray | Tensor] = {**inference(model, smpl, device)}
    ours |= training(model, smpl, expected["train.mask_noise"], device)
    ours |= metrics()
    with tempfile.TemporaryDirectory() as folder:
        ours |= spin(Path(folder), smpl, device)
    ours |= {f"{name} folded": value for name, value in inference(FoldedGLoT(model), smpl, device).items()}
    table = [compare(name, ours[name], value) for name, value in expected.items() if name not in INPUTS]
    folded = [name for name in ours if name.endswith(" folded")]
    return table + [compare(name, ours[name], expected[name.removesuffix(" folded")]) for name in folded]


def compare(name: str, ours: np.ndarray | Tensor, theirs: np.ndarray) -> Row:
    mine = ours.detach().cpu().numpy() if isinstance(ours, Tensor) else ours
    mine = np.asarray(mine, np.float64).reshape(theirs.shape)
    theirs = theirs.astype(np.float64)
    error = np.abs(mine - theirs)
    if ".theta" in name:
        # Turns about w and w - 2 pi w / |w| are the same; angles near pi are compared as such.
        a, b = (x[..., 3:75].reshape(*x.shape[:-1], 24, 3) for x in (mine, theirs))
        angle = np.linalg.norm(b, axis=-1, keepdims=True)
        other = b - 2 * np.pi * b / np.maximum(angle, 1e-9)
        error[..., 3:75] = np.minimum(np.abs(a - b), np.abs(a - other)).reshape(error[..., 3:75].shape)
    return Row(name, float(error.max()), float(np.abs(theirs).max()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Errors against the official code's outputs, row by row.")
    parser.add_argument("--device", default="cpu")
    table = rows(parser.parse_args().device)
    width = max(len(row.name) for row in table)
    print(f"{'array':<{width}}  {'largest error':>13}  {'scale':>10}  {'error / scale':>13}")
    for row in table:
        verdict = "holds" if row.holds else "FAILS"
        print(f"{row.name:<{width}}  {row.error:13.2e}  {row.scale:10.3g}  {row.error / row.scale:13.1e}  {verdict}")
    failed = sum(not row.holds for row in table)
    print(f"{len(table) - failed} of {len(table)} rows hold to {TOLERANCE:g} of the array's scale")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
