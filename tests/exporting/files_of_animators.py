"""Readers of GLB and BVH as the tests need them: bytes and text taken apart without glot."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

_TYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Gltf:
    """A binary glTF, posed at any time as the specification says."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        self.binary = b""
        if 20 + size < len(data):
            length, kind = struct.unpack_from("<I4s", data, 20 + size)
            assert kind == b"BIN\0" and length % 4 == 0
            self.binary = data[28 + size :]
            assert len(self.binary) == length == self.json["buffers"][0]["byteLength"]
        self.nodes = self.json["nodes"]

    def array(self, index: int) -> np.ndarray:
        """An accessor; normalised integers as floats."""
        entry = self.json["accessors"][index]
        view, width = self.json["bufferViews"][entry["bufferView"]], _SIZES[entry["type"]]
        kind = np.dtype(_TYPES[entry["componentType"]])
        start = view["byteOffset"] + entry.get("byteOffset", 0)
        assert start % kind.itemsize == 0
        values = np.frombuffer(self.binary, kind, entry["count"] * width, start).reshape(entry["count"], width)
        if "min" in entry:
            assert (values.min(0) == np.float32(entry["min"])).all()
            assert (values.max(0) == np.float32(entry["max"])).all()
        return values / np.iinfo(kind).max if entry.get("normalized") else values

    def channel(self, node: int, path: str) -> tuple[np.ndarray, np.ndarray, str] | None:
        """Times, values and kind of interpolation of what moves a node."""
        for animation in self.json.get("animations", []):
            for channel in animation["channels"]:
                if channel["target"] == {"node": node, "path": path}:
                    sampler = animation["samplers"][channel["sampler"]]
                    times = self.array(sampler["input"])[:, 0]
                    assert (np.diff(times) > 0).all()
                    return times, self.array(sampler["output"]), sampler["interpolation"]
        return None

    def _value(self, node: int, path: str, time: float, default: list[float]) -> np.ndarray:
        found = self.channel(node, path)
        if found is None:
            return np.array(self.nodes[node].get(path, default))
        times, values, how = found
        time = float(np.clip(time, times[0], times[-1]))
        if how == "STEP":
            return values[np.searchsorted(times, time, side="right") - 1]
        if path == "rotation":
            return Slerp(times, Rotation.from_quat(values))(time).as_quat() if len(times) > 1 else values[0]
        return np.array([np.interp(time, times, column) for column in values.T])

    def matrices(self, time: float) -> np.ndarray:
        """(N, 4, 4) from each node to the scene."""
        whole = np.tile(np.eye(4), (len(self.nodes), 1, 1))

        def go(node: int, above: np.ndarray) -> None:
            local = np.eye(4)
            turn = Rotation.from_quat(self._value(node, "rotation", time, [0, 0, 0, 1])).as_matrix()
            local[:3, :3] = turn * self._value(node, "scale", time, [1, 1, 1])
            local[:3, 3] = self._value(node, "translation", time, [0, 0, 0])
            whole[node] = above @ local
            for child in self.nodes[node].get("children", []):
                go(child, whole[node])

        for root in self.json["scenes"][0]["nodes"]:
            go(root, np.eye(4))
        return whole

    def node(self, name: str) -> int:
        """The one of that name."""
        (found,) = (index for index, node in enumerate(self.nodes) if node.get("name") == name)
        return found

    def joints(self, person: str, time: float) -> np.ndarray:
        """(24, 3) where a person's joints are."""
        skin = self.json["skins"][self.nodes[self.node(f"{person}_body")]["skin"]]
        return self.matrices(time)[skin["joints"], :3, 3]

    def surface(self, person: str, time: float) -> np.ndarray:
        """(V, 3) a person's skinned vertices."""
        node = self.nodes[self.node(f"{person}_body")]
        assert self.node(f"{person}_body") in self.json["scenes"][0]["nodes"]  # a skinned mesh is a root
        skin = self.json["skins"][node["skin"]]
        (primitive,) = self.json["meshes"][node["mesh"]]["primitives"]
        points, joints, weights = (
            self.array(primitive["attributes"][name]) for name in ("POSITION", "JOINTS_0", "WEIGHTS_0")
        )
        assert np.abs(weights.sum(1) - 1).max() < 1e-9 and (joints[weights == 0] == 0).all()
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        moves = self.matrices(time)[skin["joints"]] @ inverse
        points = np.concatenate([points, np.ones_like(points[:, :1])], 1)
        return np.einsum("vk,vkij,vj->vi", weights, moves[joints], points)[:, :3]


def bvh_joints(path: Path, names: tuple[str, ...]) -> tuple[np.ndarray, float, np.ndarray]:
    """Places (T, 24, 3) of a BVH's joints in its unit, the time of a frame in seconds, and its angles (T, 24, 3)."""
    from pymotion.io.bvh import BVH

    file = BVH()
    file.load(str(path))
    data = file.data
    whole: list[Rotation] = []
    places = np.zeros((len(data["rotations"]), len(data["names"]), 3))
    for joint, parent in enumerate(int(p) for p in data["parents"]):
        order = "".join(data["rot_order"][joint]).upper()
        local = Rotation.from_euler(order, data["rotations"][:, joint], degrees=True)
        whole.append(local if joint == 0 else whole[parent] * local)
        at = data["positions"][:, 0] if joint == 0 else places[:, parent] + whole[parent].apply(data["offsets"][joint])
        places[:, joint] = at
    index = [list(data["names"]).index(name) for name in names]
    return places[:, index], float(data["frame_time"]), data["rotations"][:, index]
