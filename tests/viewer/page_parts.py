"""A page of `glot view` read as a browser would, without one."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation


class Page(HTMLParser):
    """Elements of a page: how many of each kind there are, and the text of those with an id."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.scripts: list[str] = []
        self._open = ""
        self.feed(path.read_text("utf-8"))
        self.record: dict[str, Any] = json.loads(self.texts["record"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += attrs
        named = dict(attrs)
        self._open = named.get("id") or tag
        if tag == "script" and not named.get("type"):
            self.scripts.append("")
            self._open = "code"

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "code":
            self.scripts[-1] += data
        elif self._open:
            self.texts[self._open] = self.texts.get(self._open, "") + data

    def block(self, name: str, dtype: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.texts[name], validate=True), dtype)

    def motion(self) -> list[dict[str, np.ndarray]]:
        """Of each character: `frames` from the page's first, `turns` (T, 24, 4), `error`, `flags`, `score`."""
        record, found = self.record, []
        for one in record["characters"]:
            frames = np.concatenate([np.arange(first, first + count) for first, count in one["runs"]])
            found.append({"frames": frames, "parts": []})
        widths = {"turns": ("<i2", 96), "error": ("<u2", 24), "flags": ("u1", 1), "score": ("u1", 1)}
        wanted = [name for name in widths if name != "error" or record["has_error"]]
        size = record["chunk_frames"]
        for chunk, begin in enumerate(range(0, record["count"], size)):
            data, at = base64.b64decode(self.texts[f"motion-{chunk}"], validate=True), 0
            for one in found:
                count = int(((one["frames"] >= begin) & (one["frames"] < begin + size)).sum())
                part = {}
                for name in wanted if count else ():
                    dtype, width = widths[name]
                    part[name] = np.frombuffer(data, dtype, count * width, at).reshape(count, width)
                    at += part[name].nbytes
                one["parts"].append(part)
            assert at == len(data)
        return [
            {"frames": one["frames"]} | {name: np.concatenate([p[name] for p in one["parts"] if p]) for name in wanted}
            for one in found
        ]

    def posed(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each character joints (T, 24, 3) and rotations of the bones (T, 24, 3, 3), by the tree of the page."""
        found = []
        for one, motion in zip(self.record["characters"], self.motion(), strict=True):
            turns = motion["turns"].reshape(-1, 4).astype(float)
            local = Rotation.from_quat(turns).as_matrix().reshape(-1, 24, 3, 3)
            rest, root = np.array(one["rest"]), self.block(f"path-{one['index']}", "<f4").reshape(-1, 3)
            joints, bones = np.zeros((len(root), 24, 3)), local.copy()
            for joint, parent in enumerate(self.record["parents"]):
                if parent < 0:
                    joints[:, joint] = root
                    continue
                bones[:, joint] = bones[:, parent] @ local[:, joint]
                joints[:, joint] = joints[:, parent] + bones[:, parent] @ (rest[joint] - rest[parent])
            found.append((joints, bones))
        return found

    def surface(self, index: int) -> np.ndarray:
        """(T, V, 3) linear blend skinning as a graphics card does it."""
        one = self.record["characters"][index]
        joints, bones = self.posed()[index]
        points = self.block(f"shape-{one['shape']}", "<i2").reshape(-1, 3) / 32767 * one["shape_scale"]
        moved = joints - np.einsum("tjab,jb->tja", bones, np.array(one["rest"]))
        by = self.block("skin-index", "u1").reshape(-1, 4)
        weights = self.block("skin-weight", "<u2").reshape(-1, 4) / 65535
        turns = np.einsum("vk,tvkab->tvab", weights, bones[:, by])
        return np.einsum("tvab,vb->tva", turns, points) + np.einsum("vk,tvka->tva", weights, moved[:, by])
