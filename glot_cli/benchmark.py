"""How fast the parts of a run are on this machine. Weights are random: no speed depends on their values.

Only figures of one run can be compared: machines are shared, and no two minutes on them are alike.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli import weights
from glot_cli.body.joints import SPIN_MAP
from glot_cli.body.rotations import pose6d_to_rotmat, rotmat_to_axis_angle
from glot_cli.camera import project_official
from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.features.spin import SpinFeatures
from glot_cli.features.spin_net import SpinNetwork
from glot_cli.lifting.windows import estimate, window_indices
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot import GLoT, initialise
from glot_cli.models.glot_config import STATE_DIM, GLoTConfig
from glot_cli.models.regressors import State
from glot_cli.smpl import SMPL_FACES, SMPL_PARENTS, SMPL_VERTICES

OFFICIAL_BATCH = 64  # windows, as the released demo takes them
TRACK = 512  # frames
_OFFICIAL = "GLoT as the released demo runs it"
_PLAIN_SPIN = "SPIN, plain ResNet-50"


@dataclass(frozen=True)
class Speed:
    """How fast one part is.

    Attributes:
        name: what was measured.
        unit: of what so many are done in a second.
        rate: how many.
        compared: the name of the row that this one is measured against, or None.
    """

    name: str
    unit: str
    rate: float
    compared: str | None = None


def measure(device: str = "cpu", seconds: float = 3.0) -> Iterator[Speed]:
    """Speeds of features and of GLoT. The released demo's is left out where smplx, which it poses with, is missing.

    Args:
        device: as torch calls it.
        seconds: about how long each is measured, after a warm-up.
    """
    yield from _features(device, seconds)
    yield from _lifting(device, seconds)


def _features(device: str, seconds: float) -> Iterator[Speed]:
    generator = np.random.default_rng(0)

    def crops(size: int) -> NDArray[np.uint8]:
        count = 16 if device == "cpu" else 256  # two batches
        return generator.integers(0, 255, (count, size, size, 3), np.uint8)

    for name in ("full", "heavy"):
        blazepose = BlazePoseFeatures(weights.locate(f"blazepose-{name}"), None, device)
        yield _rate(f"BlazePose {name}", "crops/s", crops(256), blazepose, device, seconds)
    plain = SpinNetwork().eval().to(memory_format=torch.channels_last)
    for name, half in (("SPIN features", False), ("SPIN features, half precision", True)):
        spin = SpinFeatures(plain, device, half=half)
        if not half:
            yield _rate(_PLAIN_SPIN, "crops/s", crops(224), spin, device, seconds)
            plain.fold()
        yield _rate(name, "crops/s", crops(224), spin, device, seconds, compared=_PLAIN_SPIN)


def _lifting(device: str, seconds: float) -> Iterator[Speed]:
    torch.manual_seed(0)
    model = GLoT(GLoTConfig())
    initialise(model, torch.zeros(STATE_DIM))
    model.to(device).eval()
    track = torch.rand(TRACK, model.config.feature_dim)
    segment = torch.zeros(TRACK, dtype=torch.long)
    compared = None
    if importlib.util.find_spec("smplx"):
        body = PlainBody(random_smpl()).to(device)

        def plain(index: Tensor) -> None:
            plain_forward(model, body, track[index].to(device))

        windows = window_indices(segment, model.config)[:OFFICIAL_BATCH]
        yield _rate(_OFFICIAL, "windows/s", windows, plain, device, seconds)
        compared = _OFFICIAL
    folded = FoldedGLoT(model)

    def ours(frames: Tensor) -> None:
        parameters(estimate(folded, frames, segment))

    yield _rate("GLoT, features to SMPL parameters", "windows/s", track, ours, device, seconds, compared=compared)


class PlainBody(torch.nn.Module):
    """SMPL and SPIN's 49 joints as the released code has them: smplx's body, whose surface every joint waits for.

    Args:
        arrays: of a body of SMPL's size, as `random_smpl` names them.
    """

    regressor: Tensor

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        import smplx  # under a licence that not everybody can use, and only compared with here

        super().__init__()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints warnings of its own
            self.smpl = smplx.SMPL(
                "", data_struct=SimpleNamespace(**arrays), batch_size=1, create_transl=False, num_betas=10
            )
        self.register_buffer("regressor", torch.from_numpy(arrays["J_regressor_extra"]).float())

    def forward(self, rotmat: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations (B, 24, 3, 3) and shapes (B, 10) to vertices (B, V, 3) and joints (B, 49, 3), metres."""
        posed = self.smpl(betas=betas, global_orient=rotmat[:, :1], body_pose=rotmat[:, 1:], pose2rot=False)
        extra = torch.einsum("kv,bvc->bkc", self.regressor, posed.vertices)
        return posed.vertices, torch.cat([posed.joints, extra], 1)[:, list(SPIN_MAP)]


@torch.inference_mode()
def plain_forward(model: GLoT, body: PlainBody, windows: Tensor) -> dict[str, Tensor]:
    """Windows (B, T, F) to outputs as the released code computes them, no work spared.

    Every window's frames are embedded anew, all tokens computed, the regressors taken step by step, and the body's
    surface, its 49 joints and their projection made for both branches.
    """
    config = model.config
    first, last = model.global_motion, model.local_correction
    memory = first.encoder(first.embed(windows))
    tokens = first.out_proj(first.decode(memory))[:, config.middle : config.middle + 1]
    start = first.regressor(tokens)
    _outputs(start, body)
    nearby = last.encoder(last.embed(windows[:, config.local_slice]))
    queries = nearby[:, config.nearby - 1 : config.nearby + 2]
    corrected = last.cross_attention(queries, last.memory_embed(memory))[:, 1:2]
    return _outputs(last.regressor(corrected, start), body)


def _outputs(state: State, body: PlainBody) -> dict[str, Tensor]:
    """What the released code returns for states (B, 1, .): parameters, vertices, joints in space and in the picture."""
    rotmat = pose6d_to_rotmat(state.pose6d.reshape(-1, 24, 6))
    betas, camera = state.shape[:, 0], state.camera[:, 0]
    vertices, joints = body(rotmat, betas)
    return {
        "pose": rotmat_to_axis_angle(rotmat),
        "betas": betas,
        "camera": camera,
        "vertices": vertices,
        "joints3d": joints,
        "joints2d": project_official(joints, camera),
    }


def parameters(state: State) -> tuple[Tensor, Tensor, Tensor]:
    """SMPL parameters of states (N, .): pose (N, 24, 3) axis-angle, betas (N, 10), camera (N, 3)."""
    rotmat = pose6d_to_rotmat(state.pose6d.reshape(-1, 24, 6))
    return rotmat_to_axis_angle(rotmat), state.shape, state.camera


def random_smpl(seed: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays of a body of SMPL's size and random shape, by the names of SMPL's files."""
    generator = np.random.default_rng(seed)
    count = SMPL_VERTICES

    def rows(*shape: int) -> NDArray[np.float64]:
        values = generator.random(shape) ** 20
        return np.asarray(values / values.sum(1, keepdims=True))

    return {
        "v_template": generator.standard_normal((count, 3)) * 0.3,
        "shapedirs": generator.standard_normal((count, 3, 10)) * 0.01,
        "posedirs": generator.standard_normal((count, 3, 207)) * 0.001,
        "J_regressor": rows(24, count),
        "weights": rows(count, 24),
        "kintree_table": np.stack([SMPL_PARENTS, np.arange(24)]),
        "f": generator.integers(0, count, (SMPL_FACES, 3)),
        "J_regressor_extra": rows(9, count),
    }


def _rate(
    name: str,
    unit: str,
    batch: Tensor | NDArray[np.uint8],
    function: Callable[[Tensor], object],
    device: str,
    seconds: float,
    compared: str | None = None,
) -> Speed:
    """Time a function that takes a batch, again and again."""
    inputs = torch.as_tensor(batch)
    function(inputs)  # warm-up
    _wait(device)
    done, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds or not done:
        function(inputs)
        _wait(device)
        done += len(inputs)
    passed = time.perf_counter() - begin
    return Speed(name, unit, done / passed, compared)


def _wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()
