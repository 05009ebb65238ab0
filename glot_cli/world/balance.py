"""The centre of mass of a body, from the masses of its segments: de Leva 1996, table 4, the mean of women and men.

P. de Leva: Adjustments to Zatsiorsky-Seluyanov's segment inertia parameters. Journal of Biomechanics 29 (1996).
"""

from __future__ import annotations

import torch
from torch import Tensor

# Segment: the joints at its ends, its mass as a share of the body's, and how far its centre lies from the first joint
# towards the second, by de Leva's figures between joint centres. SMPL's joints end neither head nor feet, so that the
# centres of these two are estimates: above the head joint, and a little ahead of the ankle.
SEGMENTS: tuple[tuple[tuple[int, ...], tuple[int, ...], float, float], ...] = (
    ((1, 2), (16, 17), 0.4302, 0.5954),  # trunk, from the middle of the hips to that of the shoulders
    ((12,), (15,), 0.0681, 1.2),  # head and neck
    *(((16 + s,), (18 + s,), 0.0263, 0.5763) for s in (0, 1)),  # upper arms
    *(((18 + s,), (20 + s,), 0.0150, 0.4567) for s in (0, 1)),  # forearms
    *(((20 + s,), (22 + s,), 0.0059, 0.7687) for s in (0, 1)),  # hands, to the knuckles
    *(((1 + s,), (4 + s,), 0.1447, 0.3854) for s in (0, 1)),  # thighs
    *(((4 + s,), (7 + s,), 0.0457, 0.4374) for s in (0, 1)),  # shanks
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
