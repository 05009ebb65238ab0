"""The centre of mass of a body, from the masses of its segments (de Leva 1996, table 4, mean of women and men)."""

from __future__ import annotations

import torch
from torch import Tensor

# Segment: the joints at its ends, its mass as a share of the body's, and how far its centre lies from the first joint
# towards the second. The trunk is de Leva's from mid hip to mid shoulder; the head's centre lies beyond the head joint.
SEGMENTS: tuple[tuple[tuple[int, ...], tuple[int, ...], float, float], ...] = (
    ((1, 2), (16, 17), 0.4302, 0.55),  # trunk, from the middle of the hips to that of the shoulders
    ((12,), (15,), 0.0681, 1.2),  # head and neck
    *(((16 + s,), (18 + s,), 0.0263, 0.5763) for s in (0, 1)),  # upper arms
    *(((18 + s,), (20 + s,), 0.0150, 0.4567) for s in (0, 1)),  # forearms
    *(((20 + s,), (22 + s,), 0.0059, 0.75) for s in (0, 1)),  # hands
    *(((1 + s,), (4 + s,), 0.1447, 0.3854) for s in (0, 1)),  # thighs
    *(((4 + s,), (7 + s,), 0.0457, 0.4417) for s in (0, 1)),  # shanks
    *(((7 + s,), (10 + s,), 0.0133, 0.4) for s in (0, 1)),  # feet
)


def mass_shares() -> Tensor:
    """(24,) what each joint's place weighs in that of the centre of mass; they sum to 1."""
    shares = torch.zeros(24)
    for first, second, mass, along in SEGMENTS:
        for joint in first:
            shares[joint] += mass * (1 - along) / len(first)
        for joint in second:
            shares[joint] += mass * along / len(second)
    return shares / shares.sum()
