"""The background of a video that was looked at in overlapping pieces: kept as arrays, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from glot_cli.world.background import Keyframe, SeenAgain, SeenBackground

Arrays = dict[str, NDArray[np.generic]]


def to_arrays(seen: SeenBackground) -> Arrays:
    """All that was seen, by names; see `from_arrays`."""
    again, keyframes = seen.sightings, list(seen.keyframes.values())
    return {
        "scale": np.array(seen.scale),
        "frames": np.array(seen.frames, np.int64),
        "ticks": np.array(seen.ticks, np.float64),
        "again_look": np.array([one.look for one in again], np.int64),
        "again_keyframe": np.array([one.keyframe for one in again], np.int64),
        "again_homography": np.array([one.homography for one in again], np.float32).reshape(-1, 3, 3),
        "again_count": np.array([one.count for one in again], np.int64),
        "again_size": np.array([len(one.corners) for one in again], np.int64),
        "again_corners": _joined([one.corners for one in again], (0,), np.uint8),
        "again_places": _joined([one.places for one in again], (0, 2), np.uint16),
        "keyframe_look": np.array([one.look for one in keyframes], np.int64),
        "keyframe_before": np.array([one.before for one in keyframes], np.int64),
        "keyframe_sizes": np.array(
            [(len(one.corners), len(one.lines), len(one.inherited)) for one in keyframes], np.int64
        ).reshape(-1, 3),
        "keyframe_corners": _joined([one.corners for one in keyframes], (0, 2), np.float32),
        "keyframe_lines": _joined([one.lines for one in keyframes], (0, 4), np.float32),
        "keyframe_inherited": _joined([one.inherited for one in keyframes], (0,), np.uint8),
    }


def from_arrays(arrays: Arrays) -> SeenBackground:
    """What `to_arrays` made arrays of. Raises KeyError or ValueError where they are none of these."""
    sizes = arrays["again_size"]
    sightings = [
        SeenAgain(look, keyframe, homography, corners, places, count)
        for look, keyframe, homography, corners, places, count in zip(
            arrays["again_look"].tolist(),
            arrays["again_keyframe"].tolist(),
            arrays["again_homography"],
            _parted(arrays["again_corners"], sizes),
            _parted(arrays["again_places"], sizes),
            arrays["again_count"].tolist(),
            strict=True,
        )
    ]
    corners, lines, inherited = (
        _parted(arrays[f"keyframe_{name}"], column)
        for name, column in zip(("corners", "lines", "inherited"), arrays["keyframe_sizes"].T, strict=True)
    )
    keyframes = {
        look: Keyframe(look, *parts)
        for look, *parts in zip(
            arrays["keyframe_look"].tolist(),
            corners,
            lines,
            arrays["keyframe_before"].tolist(),
            inherited,
            strict=True,
        )
    }
    ticks = arrays["ticks"].astype(float).tolist()
    return SeenBackground(float(arrays["scale"]), arrays["frames"].tolist(), ticks, sightings, keyframes)


def put_together(
    pieces: Sequence[SeenBackground],
    numbers: Sequence[NDArray[np.integer]],
    ends: Sequence[int],
    ticks: NDArray[np.floating],
) -> SeenBackground:
    """The background of a whole video, from pieces of it that overlap.

    Where two pieces overlap, the keyframes of both are seen in the same pictures: so what each says of the camera is
    tied together there.

    Args:
        pieces: each with frames counted from its own first.
        numbers: of these frames in the whole video, of each.
        ends: frame of the video from which on the next piece is believed, of each; ascending.
        ticks: (n,) where all frames of the video stand in time.
    """
    frames = [[int(number[frame]) for frame in piece.frames] for piece, number in zip(pieces, numbers, strict=True)]
    looked = sorted({frame for own, end in zip(frames, ends, strict=True) for frame in own if frame < end})
    look_of = {frame: look for look, frame in enumerate(looked)}
    whole = SeenBackground(pieces[0].scale, looked, [float(ticks[frame]) for frame in looked])
    for piece, own, end in reversed(list(zip(pieces, frames, ends, strict=True))):
        at = [look_of[frame] if frame < end else -1 for frame in own]
        # A picture can be but one keyframe: that of the later piece, which sees it for longer.
        kept = {look for look in piece.keyframes if at[look] >= 0 and at[look] not in whole.keyframes}
        for look in kept:
            keyframe = piece.keyframes[look]
            before = at[keyframe.before] if keyframe.before in kept else -1
            inherited = keyframe.inherited if before >= 0 else keyframe.inherited[:0]
            # The first is one because the piece begins there: seen at once, that picture would have added no lines.
            lines = keyframe.lines if look or at[0] == 0 else keyframe.lines[:0]
            whole.keyframes[at[look]] = replace(
                keyframe, look=at[look], before=before, inherited=inherited, lines=lines
            )
        whole.sightings += [
            replace(one, look=at[one.look], keyframe=at[one.keyframe])
            for one in piece.sightings
            if at[one.look] >= 0 and one.keyframe in kept
        ]
    whole.sightings.sort(key=lambda one: (one.look, one.keyframe))
    whole.keyframes = dict(sorted(whole.keyframes.items()))
    return whole


def _joined(parts: Sequence[NDArray[np.generic]], empty: tuple[int, ...], dtype: type) -> NDArray[np.generic]:
    return np.concatenate([np.zeros(empty, dtype), *parts])


def _parted(values: NDArray[np.generic], sizes: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Rows of each part, so many as it has. Raises ValueError where they are not all."""
    ends = np.cumsum(sizes, dtype=np.int64)
    if len(values) != (int(ends[-1]) if len(ends) else 0):
        raise ValueError("parts of other sizes")
    return np.split(values, ends)[:-1] if len(ends) else []
