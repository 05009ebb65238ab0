"""From tracklets to clean tracks: one per person, a smooth box and a square crop for every frame.

Works offline on the whole clip; pure functions on arrays.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Ticks, stretches
from glot_cli.tracking.boxes import complete_truncated, covered_share, remove_outliers, smooth_boxes, square_crops
from glot_cli.tracking.joining import join_pieces
from glot_cli.tracking.keypoints import fill_keypoints, lean
from glot_cli.tracking.reappearance import part_strangers, recognise, reunite
from glot_cli.tracking.shots import looked_at
from glot_cli.tracking.swaps import undo_swaps
from glot_cli.tracking.tracklets import Tracklet, remove_duplicates

MAX_FILLED_GAP_S = 1.0  # longer gaps split a track into segments; so do pauses
# Gaps are closed in the order of certainty, which gives the later ones better velocities to go by. In long gaps all
# pieces compete at once: of two people who vanish together, the one found first need not be the one lost first.
SHORT_GAP_S, SURE_LIMIT = 0.4, 4.0
LONG_GAP_S = 2.5
# Who is seen within this (or two detections) of the clip's first or last frame is there from the first or to the last.
CLIP_EDGE_S = 0.25
DEFAULT_MIN_S = 0.4
MIN_MEAN_SCORE = 0.3  # of the detections
MIN_PRESENCE = 0.2  # the same with 0 for every miss in between
# While two people pass each other, a detector may draw a third box over both. Who is seen for no longer than this, and
# all that time with this share of the box inside those of people who stay longer, is nobody.
SHADOW_S, SHADOW_COVER = 1.5, 0.7


@dataclass(frozen=True, eq=False)
class Track:
    """One person through a shot: a row for every video frame of its segments.

    Attributes:
        person: counts from 1; the tracks of one person in several shots share it.
        frames: (n,), ascending.
        ticks: (n,) where these frames stand in time, see `clock.Clock`.
        boxes: (n,4) smoothed x1, y1, x2, y2 in pixels.
        crops: (n,3) centre x, centre y, side in pixels.
        score: (n,) of the detections, in [0,1].
        interpolated: (n,), true where the detector missed the person.
        segment: (n,), counts from 0 and grows at gaps too long to be filled.
        keypoints: (n,17,3) of `detector.COCO_KEYPOINTS`: x, y in pixels, confidence, 0 where nothing is known; None
            where the detector knows none.
        lean: (n,) how far the person leans to the right in the picture by the keypoints, radians; None like those.
        shot: of the video, counts from 0.
    """

    person: int
    frames: NDArray[np.int32]
    boxes: NDArray[np.float32]
    crops: NDArray[np.float32]
    score: NDArray[np.float32]
    interpolated: NDArray[np.bool_]
    segment: NDArray[np.int32]
    keypoints: NDArray[np.float32] | None = None
    lean: NDArray[np.float32] | None = None
    ticks: Ticks = field(kw_only=True)
    shot: int = field(default=0, kw_only=True)

    def key_rows(self, stride: int) -> NDArray[np.bool_]:
        """Rows (n,) of a frame in every `stride` ticks, and the first and the last of every segment."""
        return thinned(self.ticks, self.segment, stride)


def thinned(ticks: Ticks, segment: NDArray[np.integer], stride: float) -> NDArray[np.bool_]:
    """Rows (n,) of the first frame in every `stride` ticks, and of the first and the last of every segment (n,)."""
    turn = np.diff(segment) != 0
    first = np.diff(np.floor(ticks / stride)) > 0
    return np.asarray(np.append(True, first | turn) | np.append(turn, True))


def default_min_frames(fps: float) -> int:
    """Ticks a person must be seen to be kept, unless the user says otherwise: 0.4 s worth, at least 1."""
    return max(1, round(DEFAULT_MIN_S * fps))


def _is_fleeting(tracklet: Tracklet, min_frames: int, looks: Ticks, detect_every: float) -> bool:
    """Seen too rarely; people in clips shorter than min_frames must be seen throughout, a still image keeps all."""
    # Where frames are missing, so many ticks hold fewer looks than elsewhere.
    after = np.searchsorted(looks, tracklet.start + min_frames) - np.searchsorted(looks, tracklet.start)
    before = np.searchsorted(looks, tracklet.end, "right") - np.searchsorted(looks, tracklet.end - min_frames, "right")
    needed = min(math.ceil(min_frames / detect_every), max(int(after), int(before)), len(looks))
    return len(tracklet) < max(needed, min(2, len(looks)))  # a single sighting proves nothing where there could be two


def _is_uncertain(tracklet: Tracklet, looks: Ticks, fps: float, detect_every: float) -> bool:
    """Scored too low, or missed too often for its score."""
    steps = np.diff(tracklet.frames)
    due = np.minimum(steps / detect_every, np.diff(np.searchsorted(looks, tracklet.frames)))
    expected = 1 + np.sum(due[steps - detect_every <= MAX_FILLED_GAP_S * fps])
    return bool(tracklet.scores.mean() < MIN_MEAN_SCORE or tracklet.scores.sum() / expected < MIN_PRESENCE)


def _drop_shadows(tracklets: Sequence[Tracklet], fps: float) -> list[Tracklet]:
    """Without those seen for a moment only, all over people who were there before it and are there after it."""
    starts, ends = (np.array(ticks) for ticks in ([t.start for t in tracklets], [t.end for t in tracklets]))
    kept = []
    for tracklet in tracklets:
        length = tracklet.end - tracklet.start
        if length <= SHADOW_S * fps:
            lasting = (starts < tracklet.start) & (ends > tracklet.end) & (ends - starts > 2 * length)
            over = [tracklets[i].boxes_at(tracklet.frames) for i in np.flatnonzero(lasting).tolist()]  # (n,4) each
            covered = [
                covered_share(box, np.array([other[row] for other in over])) for row, box in enumerate(tracklet.boxes)
            ]
            if np.mean(covered) > SHADOW_COVER:
                continue
        kept.append(tracklet)
    return kept


def _repair(
    tracklets: list[Tracklet], looks: Ticks, fps: float, detect_every: float, image_size: tuple[int, int]
) -> tuple[list[Tracklet], int, int]:
    """Join what belongs together, undo swaps: tracklets, number of joints, number of identities changed."""
    join = partial(join_pieces, fps=fps, detect_every=detect_every, image_size=image_size)
    tracklets, sure = join(tracklets, max_gap_s=SHORT_GAP_S, limit=SURE_LIMIT)
    tracklets, changed = undo_swaps(tracklets, looks, fps=fps, detect_every=detect_every, image_size=image_size)
    tracklets, short = join(tracklets, max_gap_s=SHORT_GAP_S)
    tracklets, long = join(tracklets, max_gap_s=LONG_GAP_S, solid_only=True)
    return tracklets, sure + short + long, changed


def build_track(
    tracklet: Tracklet,
    person: int,
    *,
    fps: float,
    ticks: Ticks,
    detect_every: float,
    crop_scale: float,
    image_size: tuple[int, int],
) -> Track:
    """A row for every frame: gaps up to MAX_FILLED_GAP_S filled, longer ones split; boxes smoothed; crops laid out.

    Each segment is extended by up to a detection stride, for the person came and went between two detected frames,
    and to the ends of the clip, or of what lies between its pauses, from within CLIP_EDGE_S, as long as the box stays
    in the picture.

    Args:
        tracklet: the person's detections.
        person: its number.
        fps: ticks per second.
        ticks: of all frames of the clip.
        detect_every: ticks between two frames that were looked at.
        crop_scale: crop side over the box's longer side.
        image_size: (width, height), pixels.
    """
    edge = max(2 * detect_every, round(CLIP_EDGE_S * fps))
    # What lies further off than an edge has no say: many people pass through a long clip.
    skipped = max(0, int(np.searchsorted(ticks, tracklet.start - edge)) - 1)
    ticks = ticks[skipped : np.searchsorted(ticks, tracklet.end + edge, side="right") + 1]
    stretch = stretches(ticks, fps)
    own = stretch[np.searchsorted(ticks, tracklet.frames)]
    gaps = np.diff(tracklet.frames) - detect_every > MAX_FILLED_GAP_S * fps
    pauses = np.diff(own, prepend=-1, append=len(ticks)) > 0  # before every detection, and after the last
    parts: list[tuple[NDArray[Any], ...]] = []
    end = 0
    for number, rows in enumerate(np.split(np.arange(len(tracklet)), np.flatnonzero(gaps | pauses[1:-1]) + 1)):
        keys = tracklet.frames[rows]
        begin = max(int(np.searchsorted(stretch, own[rows[0]])), end)  # two stay apart, however long the stride
        end = int(np.searchsorted(stretch, own[rows[0]], side="right"))
        if not pauses[rows[0]] or keys[0] - ticks[begin] > edge:
            begin = max(begin, int(np.searchsorted(ticks, keys[0] - detect_every, side="right")))
        if not pauses[rows[-1] + 1] or ticks[end - 1] - keys[-1] > edge:
            end = min(end, int(np.searchsorted(ticks, keys[-1] + detect_every)))
        frames = ticks[begin:end]
        raw = remove_outliers(keys, tracklet.boxes[rows], fps)
        boxes = smooth_boxes(keys, raw, frames, fps)
        whole = smooth_boxes(keys, complete_truncated(keys, raw, image_size), frames, fps)
        before = keys[np.clip(np.searchsorted(keys, frames, side="right") - 1, 0, None)]
        after = keys[np.clip(np.searchsorted(keys, frames, side="left"), None, len(keys) - 1)]
        missed = (after - before > detect_every) | (frames - before >= detect_every) | (after - frames >= detect_every)
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        kept = np.all((centre > 0) & (centre < np.array(image_size)), axis=1)
        first, last = np.searchsorted(frames, [keys[0], keys[-1]])
        kept[first : last + 1] = True
        # From there outwards up to the border; who is beyond it does not come in again.
        kept[first::-1] = np.logical_and.accumulate(kept[first::-1])
        kept[last:] = np.logical_and.accumulate(kept[last:])
        parts.append(
            (
                np.arange(begin, end, dtype=np.int32)[kept] + np.int32(skipped),
                boxes[kept].astype(np.float32),
                square_crops(whole[kept], crop_scale).astype(np.float32),
                np.interp(frames[kept], keys, tracklet.scores[rows]).astype(np.float32),
                missed[kept],
                np.full(int(kept.sum()), number, np.int32),
            )
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    track = Track(person, *columns, ticks=ticks[columns[0] - skipped])
    if tracklet.keypoints is None:
        return track
    keypoints = fill_keypoints(tracklet.frames, tracklet.keypoints, track.ticks, detect_every)
    return replace(track, keypoints=keypoints, lean=lean(keypoints, track.segment, track.ticks, fps))


def clean_tracks(
    tracklets: Sequence[Tracklet],
    *,
    fps: float,
    ticks: Ticks,
    shots: Sequence[int] = (0,),
    detect_every: float = 1,
    min_frames: int | None = None,
    max_people: int | None = None,
    crop_scale: float = 1.25,
    image_size: tuple[int, int],
) -> tuple[list[Track], dict[str, int]]:
    """Turn the tracklets of a whole clip into one track for each person in each shot.

    Every shot is treated as a clip of its own; then looks alone say who of one shot is who of another.

    Args:
        tracklets: detections where `looked_at` says, in each shot.
        fps: ticks per second.
        ticks: of all frames of the clip.
        shots: frames that begin a shot, ascending from 0.
        detect_every: ticks between two frames that were looked at.
        min_frames: people seen for fewer ticks are dropped (default 0.4 s worth; at most the whole shot).
        max_people: keep those that take the most room (area x duration x score).
        crop_scale: crop side over the box's longer side.
        image_size: (width, height), pixels.

    Returns:
        The tracks, sorted by person, then shot; people are numbered from 1 by first frame, then left to right. And
        counts for the log: duplicates, joined, swaps_undone, fleeting, uncertain, shadows, surplus.
    """
    clips = [part - part[0] for part in np.split(np.asarray(ticks, float), shots[1:])]
    starts = [float(ticks[first]) for first in shots]
    inside: list[list[Tracklet]] = [[] for _ in shots]
    for tracklet in tracklets:
        for shot in range(bisect_right(starts, tracklet.start) - 1, bisect_right(starts, tracklet.end)):
            piece = _between(tracklet, starts[shot], [*starts, math.inf][shot + 1])
            inside[shot] += [piece] if len(piece) else []
    counts: Counter[str] = Counter()
    people: list[list[Tracklet]] = []
    for pieces, clip in zip(inside, clips, strict=True):
        real, mended = _clean_shot(pieces, fps, clip, detect_every, min_frames, image_size)
        people.append(sorted(real, key=lambda t: (t.start, float(t.boxes[0, 0] + t.boxes[0, 2]))))
        counts.update(mended)
    numbers = recognise(people)
    seen = [
        (number, shot, t) for shot in range(len(shots)) for number, t in zip(numbers[shot], people[shot], strict=True)
    ]
    kept = list(dict.fromkeys(number for number, _, _ in seen))  # by first frame, then left to right
    counts["surplus"] = max(0, len(kept) - max_people) if max_people is not None else 0
    if counts["surplus"]:
        room: defaultdict[int, float] = defaultdict(float)
        for number, _, t in seen:
            room[number] += float(np.sum(np.prod(t.boxes[:, 2:] - t.boxes[:, :2], axis=1) * t.scores))
        most = sorted(room, key=lambda number: -room[number])[:max_people]
        kept = [number for number in kept if number in most]
    person = {number: place for place, number in enumerate(kept, start=1)}
    tracks = []
    for number, shot, tracklet in sorted((s for s in seen if s[0] in person), key=lambda s: (person[s[0]], s[1])):
        track = build_track(
            tracklet,
            person[number],
            fps=fps,
            ticks=clips[shot],
            detect_every=detect_every,
            crop_scale=crop_scale,
            image_size=image_size,
        )
        frames = track.frames + np.int32(shots[shot])
        tracks.append(replace(track, frames=frames, ticks=ticks[frames], shot=shot))
    return tracks, dict(counts)


def _between(tracklet: Tracklet, start: float, end: float) -> Tracklet:
    """What lies in the ticks from `start` to before `end`, counted from `start`."""
    inside = tracklet.take((tracklet.frames >= start) & (tracklet.frames < end))
    return replace(inside, frames=inside.frames - start)


def _clean_shot(
    tracklets: list[Tracklet],
    fps: float,
    ticks: Ticks,
    detect_every: float,
    min_frames: int | None,
    image_size: tuple[int, int],
) -> tuple[list[Tracklet], dict[str, int]]:
    """One tracklet for each person of one shot, and counts of what was mended or dropped. Arguments as above."""
    if min_frames is None:
        min_frames = default_min_frames(fps)
    looks = looked_at(ticks, detect_every)
    pauses = ticks[np.flatnonzero(np.diff(stretches(ticks, fps))) + 1]
    tracklets = part_strangers(tracklets, pauses)
    tracklets, duplicates = remove_duplicates(tracklets, MAX_FILLED_GAP_S * fps + detect_every)
    tracklets, joined, resolved = _repair(tracklets, looks, fps, detect_every, image_size)
    lasting = [t for t in tracklets if not _is_fleeting(t, min_frames, looks, detect_every)]
    certain = [t for t in lasting if not _is_uncertain(t, looks, fps, detect_every)]
    real = _drop_shadows(certain, fps)
    known = reunite(real, ticks, pauses, MAX_FILLED_GAP_S * fps)
    return known, {
        "duplicates": duplicates,
        "joined": joined + len(real) - len(known),
        "swaps_undone": resolved,
        "fleeting": len(tracklets) - len(lasting),
        "uncertain": len(lasting) - len(certain),
        "shadows": len(certain) - len(real),
    }
