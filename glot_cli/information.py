"""What a record holds, in words and numbers: people, times, gaps, shots, cameras, keys."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import stretches, ticks_of
from glot_cli.results import Result, load_result
from glot_cli.schema import CAMERA_FIELDS, FIELDS


def info(params: str | Path) -> dict[str, Any]:
    """What a record holds.

    Args:
        params: params.npz, the folder that holds it, or one file of `frames/`.

    Returns:
        Plain values, as JSON has them: `video`, `made_by`, `camera`, `shots`, `people`, `arrays`; see
        docs/command_line.md.

    Raises:
        InputError: it cannot be read.
    """
    result = load_result(params)
    meta = result.meta
    return {
        "path": str(params),
        "video": {
            "name": meta.video,
            "source": meta.source,
            "width": meta.width,
            "height": meta.height,
            "fps": meta.fps,
            "first_frame": meta.start_frame,
            "frames": meta.frame_count,
            "rows": len(result),
        },
        "made_by": {
            "program_version": meta.program_version,
            "format_version": meta.format_version,
            "preset": meta.preset,
            "body_model": meta.body_model,
            "body_model_sha256": meta.body_model_sha256,
            "weights": meta.weights,
        },
        "camera": {
            "focal_length": meta.focal_length,
            "focal_lengths": _span(result.camera_focal_length, meta.focal_length),
            "field_of_view": round(math.degrees(2 * math.atan2(meta.width / 2, meta.focal_length)), 2),
        },
        "shots": _shots(result),
        "people": [_person(result, person) for person in result.people],
        "arrays": _arrays(result),
    }


def _span(focal_lengths: NDArray[np.float32] | None, usual: float) -> list[float]:
    """The shortest and the longest focal length, pixels: the same but for lenses that zoom."""
    if focal_lengths is None or not len(focal_lengths):
        return [usual, usual]
    return [round(float(focal_lengths.min()), 2), round(float(focal_lengths.max()), 2)]


def _shots(result: Result) -> list[dict[str, Any]]:
    """Where each shot begins, who is in it, and its world; one for the whole of records that know of no shots."""
    meta = result.meta
    starts = meta.shots or [meta.start_frame]
    ends = [*starts[1:], meta.start_frame + meta.frame_count]
    pairs = np.unique(np.stack([result.shot, result.person], 1), axis=0)
    edges = np.searchsorted(pairs[:, 0], np.arange(len(starts) + 1))
    found: list[dict[str, Any]] = []
    for shot, (first, end) in enumerate(zip(starts, ends, strict=True)):
        about: dict[str, Any] = {"first_frame": first, "last_frame": end - 1}
        about["people"] = pairs[edges[shot] : edges[shot + 1], 1].tolist()
        if result.has_world and shot < len(meta.camera_motion):
            about |= {
                "camera_motion": meta.camera_motion[shot],
                "camera_confidence": meta.camera_confidence[shot],
                "gravity_error": meta.gravity_error[shot],
                "floor": meta.floor[shot],
            }
        found.append(about)
    return found


def _person(result: Result, person: int) -> dict[str, Any]:
    """When somebody is there, and how surely."""
    own = slice(*np.searchsorted(result.person, [person, person + 1]))  # sorted: quick for thousands of people
    frames, times = result.frame[own], result.time[own]
    # A gap is a frame that the record may have and this person has not; cuts make none of their own.
    holes = np.flatnonzero(np.diff(frames) > 1)
    return {
        "person": person,
        "frames": len(frames),
        "first_frame": int(frames[0]),
        "last_frame": int(frames[-1]),
        "first_time": float(times[0]),
        "last_time": float(times[-1]),
        "gaps": [
            {
                "after_frame": int(frames[hole]),
                "frames": int(frames[hole + 1] - frames[hole] - 1),
                "seconds": round(float(times[hole + 1] - times[hole]), 6),
            }
            for hole in holes
        ],
        "pauses": int(_pauses(times, float(result.meta.frame_rate), frames)),
        "shots": np.unique(result.shot[own]).tolist(),
        "interpolated": int(result.interpolated[own].sum()),
        "mean_score": round(float(result.score[own].mean()), 4),
    }


def _pauses(times: NDArray[np.float64], fps: float, frames: NDArray[np.int32]) -> int:
    """How often the video itself stands still for more than a second between two frames that follow each other."""
    stretch = stretches(ticks_of(times, fps), fps)
    return int(((np.diff(stretch) > 0) & (np.diff(frames) == 1)).sum())


def _arrays(result: Result) -> list[dict[str, Any]]:
    """Every array of a record, as the schema describes it."""
    found = []
    for fields, arrays in ((FIELDS, result.arrays), (CAMERA_FIELDS, result.cameras)):
        for name, field in fields.items():
            if name in arrays:
                about = {"name": name, "type": str(arrays[name].dtype), "shape": list(arrays[name].shape)}
                found.append(about | {"unit": field.unit, "frame": field.frame, "meaning": field.meaning})
    return found
