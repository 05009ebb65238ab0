"""The drawing process. Started by drawing_process.py, never imported by the rest of the program.

Drawing has a process of its own because Mesa's software driver and triton (which torch.compile and others import
lazily) each bring an LLVM, and a process that has opened an OpenGL context before it loads triton dies of a
segmentation fault. So nothing in here may import torch.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from glot_cli.files.apart import pipes_to_parent, receive, send
from glot_cli.rendering.channel import map_pictures
from glot_cli.rendering.stage import Stage

if TYPE_CHECKING:
    from glot_cli.rendering.overlay import OverlayPainter


def main() -> None:
    """Serve drawing orders from standard input until it ends."""
    orders, answers = pipes_to_parent()
    with contextlib.suppress(EOFError, BrokenPipeError):
        _serve(orders, answers)


def _serve(orders: BinaryIO, answers: BinaryIO) -> None:
    setup, faces = receive(orders)
    assert faces is not None
    try:
        painter, pictures = _prepare(setup, faces)
    except Exception as error:
        send(answers, {"error": _one_line(error)})
        return
    send(answers, {"ready": True})
    while True:
        order, vertices = receive(orders)
        assert vertices is not None
        pivot = None if order["pivot"] is None else np.array(order["pivot"])
        stage = None if order["stage"] is None else Stage.of_message(order["stage"])
        people = np.array(order["people"], dtype=np.int64)
        try:
            painter.paint(pictures[order["slot"]], vertices, people, order["focal"], pivot, stage)
        except Exception as error:
            send(answers, {"error": _one_line(error)})
        else:
            send(answers, {"done": order["slot"]})


def _prepare(setup: dict[str, Any], faces: np.ndarray) -> tuple[OverlayPainter, np.ndarray]:
    """Open OpenGL, see that it draws, and build the painter and the shared pictures, (N, 3 H / 2, W) planes."""
    import cv2

    from glot_cli.rendering.context import open_platform
    from glot_cli.rendering.overlay import OverlayPainter

    pictures = map_pictures(setup["pictures"], tuple(setup["pictures_shape"]))

    cv2.setNumThreads(1)  # blending is a few hundred microseconds; the other cores are busy
    width, height = setup["size"]
    open_platform(width, height)
    _check_drawing()
    return OverlayPainter(faces, setup["n_vertices"], width, height, setup["style"]), pictures


def _check_drawing() -> None:
    """Draw a square that half fills a small picture. A driver can open and still draw nothing."""
    from glot_cli.rendering.geometry import front_view
    from glot_cli.rendering.scene import MeshScene

    scene = MeshScene(np.array([[0, 1, 2], [0, 2, 3]]), 4, 64, 64)
    square = np.array([[[-1, -1, 4], [-1, 1, 4], [1, 1, 4], [1, -1, 4]]], dtype=np.float32)
    drawn = scene.draw(square, scene.normals(square), np.array([0]), front_view(64, 64, 64.0))
    scene.close()
    if drawn is None:
        raise RuntimeError("the test picture stayed empty")
    region, pixels = drawn
    alpha = np.zeros((64, 64))
    alpha[region.y0 : region.y1, region.x0 : region.x1] = pixels[..., 3]
    if alpha[32, 32] != 255 or alpha[4, 4] != 0 or abs(alpha.sum() / 255 - 32 * 32) > 64:
        raise RuntimeError("the test picture came out wrong")


def _one_line(error: Exception) -> str:
    lines = f"{type(error).__name__}: {error}".splitlines()
    return " ".join(line.strip() for line in lines if line.strip())[:300]
