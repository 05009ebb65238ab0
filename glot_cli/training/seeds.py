"""Random numbers that belong to a place in a training, not to its history.

Each draw has a generator of its own, made of the run's seed and of where in the run it happens. So a training that was
stopped goes on exactly, and processes that share a batch draw what one alone would have drawn.
"""

from __future__ import annotations

import numpy as np
import torch

DATA, MASKING, DROPOUT, ORDER, START = range(5)  # what is drawn


def seed_of(seed: int, what: int, *place: int) -> int:
    """A seed for drawing `what` at a place of the run, such as (update, part)."""
    return int(np.random.SeedSequence([seed, what, *place]).generate_state(1, np.uint64)[0] >> 1)


def generator(seed: int, what: int, *place: int) -> torch.Generator:
    """The generator, on the CPU, for drawing `what` at a place of the run."""
    return torch.Generator().manual_seed(seed_of(seed, what, *place))
