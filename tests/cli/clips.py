"""Small videos made on the spot: people drawn with the project's own body and renderer, noise, sound, image folders."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.rendering import Renderer
from glot_cli.video.planes import FrameConverter, to_frame

WIDTH, HEIGHT, FOCAL = 320, 240, 400.0
RATE = 16000  # audio samples per second
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW = 16, 17, 18


def background(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(height, width, 3) uint8 RGB: soft clutter and a floor, nothing that looks like a person."""
    rng = np.random.default_rng(3)
    picture = np.full((height, width, 3), 120.0)
    for cells in (3, 9, 40):
        noise = rng.normal(0, 14, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    picture[int(0.8 * height) :] *= 0.7
    return np.clip(picture, 0, 255).astype(np.uint8)


def people_frames(count: int, places: list[float], width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """Frames in which people stand `places` metres beside the optical axis and wave, 3 m away."""
    body = Body.load(weights.locate("open-body"))
    pose = torch.zeros(count, 24, 3)
    time = torch.arange(count) / 25
    pose[:, 0, 0] = torch.pi  # y up to y down, face to the camera
    pose[:, LEFT_SHOULDER, 2] = -1.0 + 0.3 * torch.sin(4 * time)
    pose[:, RIGHT_SHOULDER, 2] = 1.1
    pose[:, LEFT_ELBOW, 1] = -0.5 + 0.4 * torch.sin(6 * time)
    with torch.inference_mode():
        vertices = body(axis_angle_to_rotmat(pose), torch.zeros(count, body.num_betas)).vertices
    assert vertices is not None
    converter = FrameConverter()
    scenery = converter.planes_of_rgb(background(width, height))
    frames = []
    with Renderer(body.faces, width, height, FOCAL) as renderer:
        for t in range(count):
            at = [np.array([x + 0.1 * float(time[t]), 0.05, 3.0]) for x in places]
            points = np.stack([vertices[t].numpy() + place for place in at])
            drawn = renderer.draw(scenery, points, np.arange(2, len(places) + 2))  # not the overlay's colours
            frames.append(converter.rgb(to_frame(drawn))[:height, :width])
    return frames


def write_clip(
    path: Path,
    frames: list[np.ndarray],
    stamps: list[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    sound: bool = False,
) -> Path:
    """An H.264 file of frames (H, W, 3) shown at `stamps` (units of `time_base` seconds; 0, 1, 2... if None)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        odd = stream.height % 2 or stream.width % 2
        stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        stream.codec_context.time_base = time_base
        voice = container.add_stream("aac", rate=RATE) if sound else None
        if voice is not None:
            voice.layout = "mono"
        stamps = stamps or list(range(len(frames)))
        for picture, stamp in zip(frames, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            write_tone(container, voice, float((stamps[-1] + 1) * time_base))
    return path


def write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """Encode a 440 Hz tone into an audio stream and flush it."""
    for first in range(0, int(seconds * RATE), 1024):
        at = np.arange(first, first + 1024) / RATE
        frame = av.AudioFrame.from_ndarray((0.3 * np.sin(2764.6 * at)).astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def read_video(path: Path) -> tuple[list[np.ndarray], list[Fraction]]:
    """All pictures (H, W, 3) RGB and their times in seconds, read with PyAV alone."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in frames], [f.pts * f.time_base for f in frames]
