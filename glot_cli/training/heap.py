"""What becomes of memory that one update of a training frees and the next one needs again."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's mallopt(3): above which size an allocation is a mapping of its own, and how much free memory at the end of
# the heap goes back to the system.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
LARGEST = 2**31 - 1  # bytes, all that mallopt takes


def keep_freed_memory() -> bool:
    """Have this process keep what it frees, for good; whether the C library could be told (glibc alone can).

    An update allocates the same hundreds of megabytes as the one before. Given back and fetched again, page by page,
    they took a sixth of a training's time.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(parameter, LARGEST) == 1 for parameter in (MMAP_THRESHOLD, TRIM_THRESHOLD))
