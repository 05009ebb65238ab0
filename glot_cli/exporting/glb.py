"""glTF 2.0 in one binary file (.glb): everybody with skeleton, skin and motion, and the camera that filmed.

After the specification (Khronos, 2021), with one extension, which says that a picture of the video takes no light; who
does not know it lights the picture. Time is that of the frames, from the first one on. A vertex hangs on the four
strongest of its joints, as most programs want it. Rotations are floats: as normalised shorts a wrist would be off by
some 0.05 mm.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli._version import __version__
from glot_cli.exporting.characters import Character
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.surface import influences, rest_is_all, rest_shape
from glot_cli.exporting.timeline import aligned, camera_keys, frame_times, lens_keys, switches
from glot_cli.exporting.video_plane import Plane, video_plane
from glot_cli.rendering.colours import person_colour
from glot_cli.smpl import NUM_JOINTS, SMPL_PARENTS

_COMPONENTS = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}  # glTF's codes
_KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _INDICES = 34962, 34963  # what a part of the buffer is for
_CLAMPED = 33071  # of a texture's edges: what is beyond them is what they are
_MOST = 4  # joints that a vertex hangs on
_GONE = 0.001  # size of who is not to be seen; 0 would be a matrix without an inverse, on which FBX writers fail
_NEAR, _FAR = 0.05, 1000.0  # metres that the camera sees
_ZOOM = 0.01  # change of the focal length, as a part of it, that is worth a word
_UNLIT = "KHR_materials_unlit"


class _File:
    """A glTF that grows: its JSON, and its one buffer as pieces."""

    def __init__(self, cast: Cast) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": f"glot {__version__}"},
            "scene": 0,
            "scenes": [{"name": cast.stem, "nodes": []}],
            "nodes": [],
        }
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Put an entry into one of the lists of the JSON: its index."""
        entries = self.json.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def root(self, entry: dict[str, Any]) -> int:
        """A node that hangs on no other."""
        index = self.add("nodes", entry)
        self.json["scenes"][0]["nodes"].append(index)
        return index

    def view(self, data: NDArray[Any] | bytes, target: int | None = None) -> int:
        """Bytes of the buffer, from a multiple of four on."""
        piece = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        entry = {"buffer": 0, "byteOffset": self._size, "byteLength": len(piece)}
        self._pieces.append(piece + b"\0" * (-len(piece) % 4))
        self._size += len(self._pieces[-1])
        return self.add("bufferViews", entry | ({} if target is None else {"target": target}))

    def accessor(
        self, data: NDArray[Any], target: int | None = None, *, bounds: bool = False, normalised: bool = False
    ) -> int:
        """An array (N,) or (N, components)."""
        return self.accessors(data[None], target, bounds=bounds, normalised=normalised)[0]

    def accessors(
        self, data: NDArray[Any], target: int | None = None, *, bounds: bool = False, normalised: bool = False
    ) -> list[int]:
        """Arrays of one shape (K, N) or (K, N, components), side by side in one part of the buffer."""
        view, size = self.view(data, target), data[0].nbytes
        rows = data.reshape(*data.shape[:2], -1)
        common = {"componentType": _COMPONENTS[data.dtype.name], "count": data.shape[1], "type": _KINDS[rows.shape[2]]}
        common |= {"normalized": True} if normalised else {}
        return [
            self.add(
                "accessors",
                {"bufferView": view, "byteOffset": k * size, **common}
                | ({"min": rows[k].min(0).tolist(), "max": rows[k].max(0).tolist()} if bounds else {}),
            )
            for k in range(len(data))
        ]

    def save(self, file: IO[bytes]) -> None:
        """Write header, JSON and buffer."""
        if self._size:
            self.json["buffers"] = [{"byteLength": self._size}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        binary = struct.pack("<I4s", self._size, b"BIN\0") if self._size else b""
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + len(binary) + self._size))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text + binary)
        file.writelines(self._pieces)


class _Motion:
    """The one animation of a file."""

    def __init__(self, file: _File, zero: float) -> None:
        self.file, self._zero = file, zero
        self.channels: list[dict[str, Any]] = []
        self.samplers: list[dict[str, Any]] = []

    def clock(self, times: NDArray[np.float64]) -> int:
        """Times of keys, seconds on the video's clock."""
        return self.file.accessor((times - self._zero).astype(np.float32), bounds=True)

    def move(self, node: int, path: str, times: int, values: int, how: str = "LINEAR") -> None:
        """Let a property of a node take values at times, both accessors."""
        self.channels.append({"sampler": len(self.samplers), "target": {"node": node, "path": path}})
        self.samplers.append({"input": times, "output": values, "interpolation": how})


def write(cast: Cast, box: Outbox) -> None:
    """Write one file with everybody."""
    file = _File(cast)
    times = frame_times(cast.result)
    motion = _Motion(file, float(times[0]) if len(times) else 0.0)
    lengths = lens_keys(cast).focal_lengths
    focal_length = float(lengths[0])
    plane = None if cast.video is None else video_plane(cast, cast.video, focal_length)
    _add_camera(cast, motion, focal_length, plane)
    if cast.characters:
        shared = _shared(cast, file)
        for own in cast.characters:
            _add_character(cast, motion, own, shared)
    else:
        box.note("glb: nobody is in the record, the file holds the camera alone")
    if motion.channels:
        file.add("animations", {"name": "motion", "channels": motion.channels, "samplers": motion.samplers})
    if cast.characters and not rest_is_all(cast.body):
        box.note(
            "glb: surfaces follow the bones alone, SMPL's bulges of bent joints are left out; obj and ply have them"
        )
    if np.abs(lengths / focal_length - 1).max() > _ZOOM:
        box.note(
            "glb: the lens zooms, which glTF does not know; its camera keeps the focal length of the first frame, and "
            "people leave their place in the picture; usd has every frame's"
        )
    if plane is not None:
        box.note(
            "glb: glTF has no moving textures, behind the people is a still of the video, the first frame; the script "
            "of docs/blender.md lays the moving video there, and 'glot view' shows it"
        )
    with box.path(f"{cast.stem}.glb").open("wb") as out:
        file.save(out)


def _shared(cast: Cast, file: _File) -> dict[str, int]:
    """Accessors of what all bodies have in common: triangles, and joints and weights of vertices."""
    joints, weights = influences(cast.body, _MOST)
    empty = np.zeros((len(joints), _MOST - joints.shape[1]))
    joints, weights = np.hstack([joints, empty]), np.hstack([weights, empty])
    whole = np.rint(weights * 65535)
    whole[:, 0] += 65535 - whole.sum(1)  # the strongest takes what rounding left
    small = cast.body.num_vertices <= 65535
    faces = cast.body.faces.astype(np.uint16 if small else np.uint32).ravel()
    return {
        "indices": file.accessor(faces, _INDICES),
        "JOINTS_0": file.accessor(np.where(whole > 0, joints, 0).astype(np.uint8), _VERTICES),
        "WEIGHTS_0": file.accessor(whole.astype(np.uint16), _VERTICES, normalised=True),
    }


def _add_character(cast: Cast, motion: _Motion, own: Character, shared: dict[str, int]) -> None:
    file, name = motion.file, cast.name_of(own)
    character = own if cast.fps is None else cast.evenly(own)
    above = file.root({"name": name})
    joints = _add_skeleton(cast, file, above, own)
    binding = np.tile(np.eye(4, dtype=np.float32), (NUM_JOINTS, 1, 1))
    binding[:, 3, :3] = -own.rest  # column by column
    skin = {"name": name, "joints": joints, "skeleton": joints[0]}
    skin["inverseBindMatrices"] = file.accessor(binding.reshape(-1, 16))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in person_colour(own.person)
    )  # sRGB to linear
    surface = {"baseColorFactor": [red, green, blue, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    shape = rest_shape(cast.body, own)
    attributes = {name: index for name, index in shared.items() if name != "indices"}
    attributes["POSITION"] = file.accessor(shape.vertices, _VERTICES, bounds=True)
    attributes["NORMAL"] = file.accessor(shape.normals, _VERTICES)
    material = file.add("materials", {"name": name, "pbrMetallicRoughness": surface})
    primitive = {"attributes": attributes, "indices": shared["indices"], "material": material}
    mesh = file.add("meshes", {"name": name, "primitives": [primitive]})
    # Beside the skeleton, not below it: what hangs on a node would be moved twice.
    file.root({"name": f"{name}_body", "mesh": mesh, "skin": file.add("skins", skin)})

    clock = motion.clock(character.times)
    turns = Rotation.from_matrix(character.rotmat.reshape(-1, 3, 3)).as_quat().reshape(-1, NUM_JOINTS, 4)
    outputs = file.accessors(aligned(turns).swapaxes(0, 1).astype(np.float32))
    motion.move(joints[0], "translation", clock, file.accessor(character.root.astype(np.float32)))
    for joint, output in zip(joints, outputs, strict=True):
        motion.move(joint, "rotation", clock, output)
    switch = switches(cast, own)
    if len(switch.times):
        sizes = np.where(switch.shown, 1, _GONE).astype(np.float32)
        motion.move(above, "scale", motion.clock(switch.times), file.accessor(np.tile(sizes[:, None], 3)), "STEP")


def _add_skeleton(cast: Cast, file: _File, above: int, own: Character) -> list[int]:
    """Nodes of a character's joints in its rest pose, below another node."""
    places = own.rest - np.where(np.array(SMPL_PARENTS)[:, None] < 0, 0, own.rest[list(SMPL_PARENTS)])
    joints = [
        file.add("nodes", {"name": name, "translation": place})
        for name, place in zip(cast.joint_names, places.tolist(), strict=True)
    ]
    nodes = file.json["nodes"]
    for joint, parent in zip(joints, SMPL_PARENTS, strict=True):
        nodes[above if parent < 0 else joints[parent]].setdefault("children", []).append(joint)
    return joints


def _add_camera(cast: Cast, motion: _Motion, focal_length: float, plane: Plane | None) -> None:
    meta = cast.result.meta
    lens = {
        "yfov": float(2 * np.arctan(meta.height / 2 / focal_length)),
        "aspectRatio": meta.width / meta.height,
        "znear": _NEAR,
        "zfar": _FAR if plane is None else max(_FAR, 2 * plane.distance),
    }
    camera = motion.file.add("cameras", {"name": "camera", "type": "perspective", "perspective": lens})
    keys = camera_keys(cast)
    first = {"translation": keys.places[0].tolist(), "rotation": keys.turns[0].tolist()}
    node = motion.file.root({"name": "camera", "camera": camera, **first})
    if plane is not None:
        motion.file.json["nodes"][node]["children"] = [_add_plane(motion.file, plane)]
    if len(keys.times) > 1:
        clock = motion.clock(keys.times)
        for path, values in (("translation", keys.places), ("rotation", keys.turns)):
            motion.move(node, path, clock, motion.file.accessor(values.astype(np.float32)))


def _add_plane(file: _File, plane: Plane) -> int:
    """A node with the picture of the video, for below the camera's."""
    image = file.add("images", {"name": "video", "mimeType": "image/jpeg", "bufferView": file.view(plane.jpeg)})
    edges = file.add("samplers", {"wrapS": _CLAMPED, "wrapT": _CLAMPED})
    texture = file.add("textures", {"sampler": edges, "source": image})
    plain = {"baseColorTexture": {"index": texture}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    unlit = {"name": "video", "pbrMetallicRoughness": plain, "extensions": {_UNLIT: {}}}
    file.json["extensionsUsed"] = [_UNLIT]
    attributes = {
        "POSITION": file.accessor(plane.corners, _VERTICES, bounds=True),
        "NORMAL": file.accessor(np.tile(np.array([0, 0, 1], np.float32), (4, 1)), _VERTICES),
        "TEXCOORD_0": file.accessor(np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32), _VERTICES),
    }
    primitive = {"attributes": attributes, "indices": file.accessor(np.array([0, 1, 2, 0, 2, 3], np.uint16), _INDICES)}
    mesh = file.add("meshes", {"name": "video", "primitives": [primitive | {"material": file.add("materials", unlit)}]})
    return file.add("nodes", {"name": "video", "mesh": mesh})
