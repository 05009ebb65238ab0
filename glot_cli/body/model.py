"""One body model for every file in SMPL's format: the open body, and SMPL itself once converted to npz.

The forward pass follows SMPL (Loper et al., 2015, section 3): blend shapes, joint regression, linear blend skinning, no
translation; the pelvis stays where the joint regressor puts it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.body.kinematics import forward_kinematics, smplx_kinematics
from glot_cli.errors import WeightsError
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz
from glot_cli.smpl import NUM_JOINTS, SMPL_VERTICES

Arrays = dict[str, NDArray[Any]]

# What a file in SMPL's format holds: always the first six; pose blend shapes, further joints, and where its mean lies
# in the shape space of a network, where it has them.
_REQUIRED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
BODY_ARRAYS = (*_REQUIRED, "posedirs", "J_regressor_extra", "shape_mean")
_LARGEST = {"kintree_table": 2.0**32, "f": 2.0**32}  # the root's parent is 2**32 - 1 in some files
MOST_VERTICES, MOST_FACES = 200_000, 10  # faces for each vertex; a closed surface has two
_REMEDY = "give an SMPL-format .npz (v_template, shapedirs, J_regressor, weights, kintree_table, f)"


class BodyOutput(NamedTuple):
    """Posed bodies, in the frame of the root rotation.

    Attributes:
        joints: (B, 24, 3) metres.
        vertices: (B, V, 3) metres; None when the surface was not asked for.
        bones: (B, 24, 3, 3) rotations of the bones from the rest pose, in that same frame.
    """

    joints: Tensor
    vertices: Tensor | None
    bones: Tensor


def read_body_arrays(path: Path) -> Arrays:
    """All arrays of an SMPL-format npz, without unpickling anything.

    Raises:
        WeightsError: the file is missing or cannot be read.
    """
    if not os.path.isfile(path):
        raise WeightsError("no such body model file", path=path, remedy=_REMEDY)
    try:
        return load_npz(path)
    except FileFault as error:
        raise error.about(path, WeightsError, remedy=_REMEDY) from error


def _checked(arrays: Mapping[str, NDArray[Any]], source: str) -> Arrays:
    """The arrays of an SMPL body with shapes verified; a missing `posedirs` stays missing."""
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise WeightsError(f"body model lacks {', '.join(missing)}", path=source, remedy=_REMEDY)
    checked = {name: np.asarray(arrays[name]) for name in BODY_ARRAYS if name in arrays}
    for name in BODY_ARRAYS:
        if name in checked and not checked[name].size:
            raise WeightsError(f"body model array {name} is empty", path=source, remedy=_REMEDY)
    count = checked["v_template"].shape[0] if checked["v_template"].ndim else 0
    expected: dict[str, tuple[int | None, ...]] = {
        "v_template": (count, 3),
        "shapedirs": (count, 3, None),
        "J_regressor": (NUM_JOINTS, count),
        "weights": (count, NUM_JOINTS),
        "kintree_table": (2, NUM_JOINTS),
        "f": (None, 3),
        "posedirs": (count, 3, 9 * (NUM_JOINTS - 1)),
        "J_regressor_extra": (None, count),
        "shape_mean": (None,),
    }
    for name, array in checked.items():
        shape = expected[name]
        fits = len(shape) == array.ndim and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits:
            wanted = "x".join("any" if n is None else str(n) for n in shape)
            got = "x".join(map(str, array.shape)) or "a scalar"
            raise WeightsError(f"body model array {name} is {got}, expected {wanted}", path=source, remedy=_REMEDY)
        largest = _LARGEST.get(name, 1e4)
        if array.dtype.kind not in "fiu" or not -largest <= array.min() <= array.max() <= largest:
            reason = f"body model array {name} holds values that are not finite, or larger than any body's"
            raise WeightsError(reason, path=source, remedy=_REMEDY)
    faces = checked["f"]
    if count > MOST_VERTICES or len(faces) > MOST_FACES * count:
        reason = f"body model of {count:,} vertices and {len(faces):,} faces is larger than any body"
        raise WeightsError(reason, path=source, remedy=_REMEDY)
    if faces.min() < 0 or faces.max() >= count:
        raise WeightsError(f"body model faces point outside its {count} vertices", path=source, remedy=_REMEDY)
    if not is_tree(checked["kintree_table"]):
        raise WeightsError("kintree_table is no tree with parents before children", path=source, remedy=_REMEDY)
    return checked


def is_tree(kintree_table: NDArray[Any]) -> bool:
    """Whether the joints of a body are a tree with parents before children."""
    parents = _parents(kintree_table)
    return parents[0] == -1 and all(0 <= p < j for j, p in enumerate(parents) if j)


def _parents(kintree_table: NDArray[Any]) -> tuple[int, ...]:
    """Parent of each joint; the root's is -1 (files store it as 2**32 - 1)."""
    parents = kintree_table[0].astype(np.int64)
    parents[0] = -1 if parents[0] in (-1, 2**32 - 1) else parents[0]
    return tuple(int(p) for p in parents)


def _planes(directions: NDArray[Any]) -> NDArray[Any]:
    """(V,3,K) displacement directions -> (K, 3*V), one row a direction, coordinate by coordinate."""
    return directions.transpose(2, 1, 0).reshape(directions.shape[2], -1)


class Body(torch.nn.Module):
    """An SMPL-format body. Float arrays are held in float32.

    Attributes:
        faces: (F, 3) int64, vertices of each triangle.
        parents: the joint above each of the 24; the root's is -1.
        extra_regressor: (K, V) weights of the vertices for further joints (`J_regressor_extra`), or None.
        shape_mean: (num_betas,) where the mean of this body's people lies in the shape space that networks speak in;
            its own shapes count from there.
    """

    __call__: Callable[..., BodyOutput]

    # The surface is kept as three planes x, y, z of V numbers: skinning is then long runs of multiply-adds, five times
    # faster on a CPU than thousands of 3x3 products.
    template_planes: Tensor  # (3,V)
    shape_planes: Tensor  # (L, 3*V): one row a component, so that the blend is one matrix product
    pose_planes: Tensor | None  # (207, 3*V)
    weight_planes: Tensor  # (24,V)
    joint_template: Tensor  # (24,3)
    joint_shapedirs: Tensor  # (L, 72)
    extra_regressor: Tensor | None
    shape_mean: Tensor

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], source: str = "body model", num_betas: int | None = None
    ) -> None:
        """Take a body from its arrays.

        Args:
            arrays: named as in an SMPL file; `posedirs` may be missing (taken as zero).
            source: names the file in errors.
            num_betas: how many of the shape components to keep, the first ones; all when None.

        Raises:
            WeightsError: an array is missing, has a wrong shape or too few components, or smplx, which poses a body
                with SMPL's own mesh, is not installed.
        """
        super().__init__()
        a = _checked(arrays, source)
        if num_betas is not None and num_betas > a["shapedirs"].shape[2]:
            found = a["shapedirs"].shape[2]
            reason = f"body model has {found} shape components, {num_betas} are needed"
            raise WeightsError(reason, path=source, remedy=_REMEDY)
        a["shapedirs"] = a["shapedirs"][..., :num_betas]
        self.faces: NDArray[np.int64] = a["f"].astype(np.int64)
        self.parents = _parents(a["kintree_table"])
        is_smpl = len(a["v_template"]) == SMPL_VERTICES
        self._kinematics = smplx_kinematics(source) if is_smpl else forward_kinematics
        v_template, shapedirs = a["v_template"].astype(np.float64), a["shapedirs"].astype(np.float64)
        regressor = a["J_regressor"].astype(np.float64)
        # Joints are linear in the shape: J(betas) = R v_template + R shapedirs betas. Folding R in here is what lets
        # joints be computed without touching the surface.
        joint_shapedirs = np.tensordot(regressor, shapedirs, 1)  # (24,3,L)
        posedirs = a.get("posedirs")
        if posedirs is not None and not posedirs.any():
            posedirs = None
        self._set("template_planes", v_template.T)
        self._set("shape_planes", _planes(shapedirs))
        self._set("pose_planes", None if posedirs is None else _planes(posedirs))
        self._set("weight_planes", a["weights"].T)
        self._set("joint_template", regressor @ v_template)
        self._set("joint_shapedirs", joint_shapedirs.reshape(-1, joint_shapedirs.shape[-1]).T)
        self._set("extra_regressor", a.get("J_regressor_extra"))
        kept = shapedirs.shape[-1]
        mean = a.get("shape_mean", np.zeros(kept))[:kept]
        if len(mean) != kept:
            reason = f"body model has {kept} shape components, but means of {len(mean)}"
            raise WeightsError(reason, path=source, remedy=_REMEDY)
        self._set("shape_mean", mean)

    @classmethod
    def load(cls, path: Path) -> Body:
        """Read an SMPL-format npz.

        Raises:
            WeightsError: it is missing, damaged or incomplete, or needs smplx, which is not installed.
        """
        return cls(read_body_arrays(path), str(path))

    def _set(self, name: str, array: NDArray[Any] | None) -> None:
        tensor = None if array is None else torch.from_numpy(np.array(array, np.float32, order="C"))
        self.register_buffer(name, tensor, persistent=False)

    @property
    def num_betas(self) -> int:
        return self.shape_planes.shape[0]

    @property
    def num_vertices(self) -> int:
        return self.template_planes.shape[1]

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Joints (B, 24, 3) of the rest pose in metres, for betas (B, num_betas)."""
        return self.joint_template + (betas @ self.joint_shapedirs).view(-1, NUM_JOINTS, 3)

    def forward(self, rotmat: Tensor, betas: Tensor, vertices: bool = True) -> BodyOutput:
        """Pose the body. No translation is applied: the pelvis stays where the rest pose has it.

        Args:
            rotmat: (B, 24, 3, 3) local rotations; joint 0 turns the whole body.
            betas: (B, num_betas) shape components.
            vertices: False if the surface is not wanted; it is then never computed.
        """
        rest_joints = self.rest_joints(betas)
        joints, bones = self._kinematics(rotmat, rest_joints, self.parents)
        if not vertices:
            return BodyOutput(joints, None, bones)
        rest = self.template_planes + (betas @ self.shape_planes).view(-1, 3, self.num_vertices)  # (B,3,V)
        if self.pose_planes is not None:
            identity = torch.eye(3, dtype=rotmat.dtype, device=rotmat.device)
            feature = (rotmat[:, 1:] - identity).flatten(1)  # (B,207)
            rest = rest + (feature @ self.pose_planes).view_as(rest)
        moved = joints - (bones @ rest_joints.unsqueeze(-1)).squeeze(-1)  # (B,24,3) what each bone adds to a point
        affine = torch.cat([bones, moved.unsqueeze(-1)], -1).flatten(2).transpose(1, 2)  # (B,12,24), rows of (R|t)
        # Taken apart by unbind, whose backward pass is one stack; that of an index fills a whole array with zeros.
        x, y, z, shift = (affine @ self.weight_planes).view(-1, 3, 4, self.num_vertices).unbind(2)
        rest_x, rest_y, rest_z = (plane.unsqueeze(1) for plane in rest.unbind(1))
        posed = torch.addcmul(shift, x, rest_x).addcmul(y, rest_y).addcmul(z, rest_z)
        return BodyOutput(joints, posed.transpose(1, 2).contiguous(), bones)

    def subset(self, indices: Sequence[int] | NDArray[np.integer] | Tensor) -> Body:
        """A light body that yields only the vertices `indices` (in that order), with exactly the same joints.

        It has no faces and no extra regressor, since both speak of the whole surface.
        """
        index = torch.as_tensor(indices, dtype=torch.long, device=self.template_planes.device)
        light = Body.__new__(Body)
        torch.nn.Module.__init__(light)
        light.faces = np.zeros((0, 3), np.int64)
        light.parents = self.parents
        light._kinematics = self._kinematics

        def columns(rows: Tensor) -> Tensor:
            return rows.view(len(rows), 3, -1)[..., index].flatten(1)

        for name, tensor in (
            ("template_planes", self.template_planes[:, index]),
            ("shape_planes", columns(self.shape_planes)),
            ("pose_planes", None if self.pose_planes is None else columns(self.pose_planes)),
            ("weight_planes", self.weight_planes[:, index]),
            ("joint_template", self.joint_template),
            ("joint_shapedirs", self.joint_shapedirs),
            ("extra_regressor", None),
            ("shape_mean", self.shape_mean),
        ):
            light.register_buffer(name, tensor, persistent=False)
        return light
