"""Small videos for the tests of reading and writing, made with PyAV alone, whose pictures tell their number."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from glot_cli.video import VideoWriter, probe, read_frames

RATE = 16000  # audio samples per second


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture that tells its number (8 bits, dark and bright bars in the lower half) and is white top left."""
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(8):
        image[height // 2 :, bit * width // 8 : (bit + 1) * width // 8] = 200 if index >> bit & 1 else 50
    image[: height // 4, : width // 4] = 255
    return image


def moving_picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture of another kind, all of which moves from one to the next."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    waves = (np.sin(0.31 * columns + 0.17 * index), np.cos(0.4 * rows + 0.29 * index), np.sin(0.2 * (rows + columns)))
    image = np.stack([np.broadcast_to(128 + 90 * wave, (height, width)) for wave in waves], -1)
    image[(3 * index) % height, :, :] = 240
    return image.astype(np.uint8)


def number(image: np.ndarray) -> int:
    bars = image[-16:].mean(axis=(0, 2)).reshape(8, -1).mean(axis=1)
    return sum(1 << bit for bit in range(8) if bars[bit] > 125)


def make_video(
    path: Path,
    stamps: list[int],
    time_base: Fraction = Fraction(1, 30),
    codec: str = "libx264",
    rotation: int | None = None,
    audio: str | None = None,
    audio_seconds: float = 0.0,
    container_format: str | None = None,
    size: tuple[int, int] = (64, 48),
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    paint: Callable[[int, int, int], np.ndarray] | None = None,
) -> Path:
    """A small video with the given time stamps, made with PyAV alone; sound is a tone that starts with the picture."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=30, options=options or {})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.time_base = time_base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sound = None
        if audio is not None:
            sound = container.add_stream(audio, rate=RATE)
            sound.layout = "mono"
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray((paint or picture)(index, *size), "rgb24")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            tone = np.sin(np.arange(round(audio_seconds * RATE)) * (2 * math.pi * 440 / RATE))
            wave = (tone[None] * 20000).astype(np.int16)
            for begin in range(0, wave.shape[1], RATE // 25):  # as cameras pack it, where the encoder does not care
                samples = av.AudioFrame.from_ndarray(wave[:, begin : begin + RATE // 25], "s16", "mono")
                samples.rate, samples.pts, samples.time_base = RATE, begin, Fraction(1, RATE)
                container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return path


def set_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Give the first track of an MP4 another display matrix (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    assert struct.unpack_from(">9i", data, place) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (round(value * (1 << 16)) for value in (a, b, c, d))
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def copy(source: Path, target: Path, start: float | None = None, end: float | None = None) -> list[str]:
    """Read and write again through the code under test; the warnings that came."""
    info, warnings = probe(source), []
    with VideoWriter(
        target,
        info.width,
        info.height,
        time_base=info.time_base,
        fps=info.fps,
        audio_from=source if info.has_audio else None,
        warn=warnings.append,
    ) as writer:
        for frame in read_frames(source, start, end, warn=warnings.append):
            writer.write(frame.image, frame.pts)
    return warnings
