"""Landmarks that are somebody else's: found by comparing people who are close together, and replaced.

The landmark network looks at one crop at a time. Where a crop shows two people, it may choose the wrong one, or draw
the arms of one and the legs of the other. Nothing in that crop says so, but the other person's crop does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.camera import from_crop
from glot_cli.features.extractor import PictureLandmarks
from glot_cli.tracking.boxes import box_overlap
from glot_cli.tracking.tracklets import at_once
from glot_cli.tracking.tracks import Track

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]
Indices = NDArray[np.integer]

NEAR_IOU = 0.02  # of two boxes; people further apart are never compared
# Mean distance of the landmarks of two people, of the smaller one's size. Below the first they are one person's; the
# frames around count too as long as the second holds, for the network lets go of somebody limb by limb.
SAME, SAME_AROUND = 0.08, 0.20
ODD_FIT = 0.68  # of a person's usual overlap of landmarks and box: below it, the landmarks may be somebody else's
POOR_FIT = 0.6  # below it, they are nobody's when they lie about as well on the other person
MARGIN_S = 1 / 120  # on both sides of what is found; a frame at least
MAX_REPAIR_S = 1.5  # longer stretches stay as they are: what was seen before says little about them


class _Person:
    """What the comparisons need to know of one person, a row for each of n frames."""

    def __init__(self, track: Track, landmarks: PictureLandmarks) -> None:
        self.frames, self.ticks, self.segment = track.frames, track.ticks, track.segment
        self.boxes = track.boxes.astype(float)  # (n,4) pixels
        self.relative = landmarks.points.numpy()  # (n,33,2) in units of half the crop
        self.pixels = from_crop(landmarks.points, torch.from_numpy(track.crops)).numpy()  # (n,33,2)
        self.seen = (landmarks.visibility * landmarks.presence).numpy()  # (n,33)
        self.size = (self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1)  # (n,) pixels
        self.extent = np.concatenate([self.pixels.min(axis=1), self.pixels.max(axis=1)], axis=1).astype(float)  # (n,4)
        self.fit = box_overlap(self.extent, self.boxes)[0]  # (n,)
        self.alone = np.ones(len(self.frames), bool)


def replace_crosstalk(
    tracks: Sequence[Track],
    features: Sequence[NDArray[np.float32]],
    landmarks: Sequence[PictureLandmarks],
    fps: float,
) -> tuple[list[NDArray[np.float32]], int]:
    """Replace the landmarks that belong to somebody else.

    Args:
        tracks: of everybody.
        features: (n, F) of each track.
        landmarks: (n, 33, .) that are in those features.
        fps: ticks per second.

    Returns:
        The features, those of people nobody came near to untouched, and how many of their rows were replaced.
    """
    found = find_crosstalk(tracks, landmarks, fps)
    repaired, count = [], 0
    for track, feature, wrong in zip(tracks, features, found, strict=True):
        rows = _within_reach(track, wrong, fps)
        repaired.append(_interpolate(track, feature, wrong, rows) if rows.any() else feature)
        count += int(rows.sum())
    return repaired, count


def find_crosstalk(tracks: Sequence[Track], landmarks: Sequence[PictureLandmarks], fps: float) -> list[Mask]:
    """For each person the rows (n,) whose landmarks are not their own.

    Two signs are looked for, only while the boxes of two people overlap: the landmarks of both coincide, then they
    belong to the one whose box and whose own past and future they suit better; or the landmarks of one suit the
    other's box better than their own, and their own much worse than usual.
    """
    if len(tracks) < 2:
        return [np.zeros(len(track.frames), bool) for track in tracks]
    people = [_Person(track, seen) for track, seen in zip(tracks, landmarks, strict=True)]
    pairs = []
    first, last = (np.array([person.frames[end] for person in people]) for end in (0, -1))
    for one, other in zip(*(side.tolist() for side in at_once(first, last)), strict=True):
        i, j = min(one, other), max(one, other)
        a, b = people[i], people[j]
        shared = [max(first[i], first[j]), min(last[i], last[j]) + 1]
        (from_a, to_a), (from_b, to_b) = (np.searchsorted(person.frames, shared).tolist() for person in (a, b))
        rows_a, rows_b = np.intersect1d(
            a.frames[from_a:to_a], b.frames[from_b:to_b], assume_unique=True, return_indices=True
        )[1:]
        rows_a, rows_b = rows_a + from_a, rows_b + from_b
        near = box_overlap(a.boxes[rows_a], b.boxes[rows_b])[0] > NEAR_IOU
        a.alone[rows_a[near]] = False
        b.alone[rows_b[near]] = False
        if near.any():
            pairs.append((i, j, rows_a, rows_b, near))
    found = [np.zeros(len(person.frames), bool) for person in people]
    for i, j, rows_a, rows_b, near in pairs:
        wrong_a, wrong_b = _compare(people[i], people[j], rows_a, rows_b, near)
        found[i][rows_a[wrong_a]] = True
        found[j][rows_b[wrong_b]] = True
    margin = max(1, round(MARGIN_S * fps))
    return [_widened(wrong, person.segment, margin) for wrong, person in zip(found, people, strict=True)]


def _compare(a: _Person, b: _Person, rows_a: Indices, rows_b: Indices, near: Mask) -> tuple[Mask, Mask]:
    """Which landmarks of a and of b are the other's, at the frames (m,) that both rows (m,) stand for."""
    pixels, seen = (a.pixels[rows_a], b.pixels[rows_b]), np.sqrt(a.seen[rows_a] * b.seen[rows_b])
    apart = np.sum(np.linalg.norm(pixels[0] - pixels[1], axis=-1) * seen, axis=1) / np.maximum(seen.sum(axis=1), 1e-6)
    apart /= np.minimum(a.size[rows_a], b.size[rows_b])
    swapped = (
        box_overlap(a.extent[rows_a], b.boxes[rows_b])[0],  # how well the landmarks of a lie on b
        box_overlap(b.extent[rows_b], a.boxes[rows_a])[0],
    )
    segment = a.segment[rows_a] + b.segment[rows_b]  # grows where that of either does
    wrong_a = _suits_the_other(a, rows_a, swapped[0], near, segment)
    wrong_b = _suits_the_other(b, rows_b, swapped[1], near, segment)
    around = near & (apart < SAME_AROUND)
    for run in _runs(around, segment):
        if apart[run].min() >= SAME:
            continue
        core = run[apart[run] < SAME]
        doubt_a = np.mean(swapped[0][core] - a.fit[rows_a[core]]) + _strangeness(a, rows_a, run, core)
        doubt_b = np.mean(swapped[1][core] - b.fit[rows_b[core]]) + _strangeness(b, rows_b, run, core)
        # The one they belong to is cleared of the other suspicion too: behind each other, both boxes suit them.
        wrong_a[run], wrong_b[run] = doubt_a > doubt_b, doubt_a <= doubt_b
    return wrong_a, wrong_b


def _suits_the_other(person: _Person, rows: Indices, other: Array, near: Mask, segment: Indices) -> Mask:
    """Which landmarks lie better on the other person, who fits them by `other` (m,), and the odd ones around: (m,)."""
    own = person.fit[rows]
    usual = float(np.median(person.fit[person.alone])) if person.alone.any() else float(np.quantile(person.fit, 0.75))
    odd = near & (own < ODD_FIT * usual)
    lost = odd & ((other > own + 0.05) | ((other > 0.7 * own) & (own < POOR_FIT * usual)))
    wrong = np.zeros_like(lost)
    for run in _runs(odd, segment):
        wrong[run] = lost[run].any()
    return wrong


def _strangeness(person: _Person, rows: Indices, run: Indices, core: Indices) -> float:
    """How far landmarks lie from where a person had them before and has them after: mean share of the crop side."""
    own, around = person.segment[rows[run[0]]], (rows[run[0]] - 1, rows[run[-1]] + 1)
    known = np.array([row for row in around if 0 <= row < len(person.frames) and person.segment[row] == own], int)
    if not len(known):
        return 0.0
    expected = _between(person.ticks[rows[core]], person.ticks[known], person.relative[known])
    return float(np.linalg.norm(person.relative[rows[core]] - expected, axis=-1).mean()) / 2


def _between(ticks: Array, known: Array, values: Array) -> Array:
    """Values (m,...) at `ticks` (m,) on the straight lines between `values` (k,...) at ascending `known` (k,)."""
    after = np.clip(np.searchsorted(known, ticks), 0, len(known) - 1)
    before = np.clip(np.searchsorted(known, ticks, side="right") - 1, 0, len(known) - 1)
    span = known[after] - known[before]
    share = np.clip((ticks - known[before]) / np.where(span > 0, span, 1), 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    mixed: Array = (1 - share) * values[before] + share * values[after]
    return mixed


def _runs(mask: Mask, segment: Indices) -> list[Indices]:
    """Indices of each stretch in which `mask` (n,) holds, within one `segment` (n,)."""
    rows = np.flatnonzero(mask)
    ends = (np.diff(rows) > 1) | (np.diff(segment[rows]) != 0)
    return np.split(rows, np.flatnonzero(ends) + 1) if len(rows) else []


def _widened(mask: Mask, segment: Indices, margin: int) -> Mask:
    """`mask` (n,) with `margin` rows more at both ends of each stretch, as far as their segments (n,) go."""
    wide = mask.copy()
    for run in _runs(mask, segment):
        own = slice(max(0, run[0] - margin), run[-1] + margin + 1)
        wide[own] |= segment[own] == segment[run[0]]
    return wide


def _within_reach(track: Track, wrong: Mask, fps: float) -> Mask:
    """Those of the wrong rows (n,) in stretches that are short and have a good row of the same segment beside."""
    kept = np.zeros_like(wrong)
    for run in _runs(wrong, track.segment):
        own = track.segment[run[0]]
        beside = any(0 <= r < len(wrong) and track.segment[r] == own for r in (run[0] - 1, run[-1] + 1))
        kept[run] = beside and track.ticks[run[-1]] - track.ticks[run[0]] + 1 <= MAX_REPAIR_S * fps
    return kept


def _interpolate(track: Track, feature: NDArray[np.float32], wrong: Mask, rows: Mask) -> NDArray[np.float32]:
    """`feature` (n,F) with `rows` (n,) taken from the nearest rows of the segment that are not wrong.

    Landmarks are in units of the crop, which goes with the person's own box: so do the ones put in.
    """
    whole = feature.copy()
    for number in np.unique(track.segment[rows]):
        member = track.segment == number
        replaced, good = member & rows, member & ~wrong
        whole[replaced] = _between(track.ticks[replaced], track.ticks[good], feature[good])
    return whole
