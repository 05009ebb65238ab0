"""Pictures for the landmark network, made from arithmetic alone so that every machine draws the same ones."""

import numpy as np

# (x, y) ends of limbs and their radius in pixels of a 256 x 256 picture: head, trunk, arms, legs
STANDING = [
    (128, 40, 128, 44, 16),
    (128, 72, 128, 130, 22),
    (108, 70, 84, 112, 7),
    (84, 112, 78, 150, 6),
    (148, 70, 172, 112, 7),
    (172, 112, 178, 150, 6),
    (118, 138, 112, 186, 10),
    (112, 186, 110, 236, 7),
    (138, 138, 144, 186, 10),
    (144, 186, 146, 236, 7),
]
WAVING = [*STANDING[:4], (148, 70, 180, 50, 7), (180, 50, 196, 18, 6), *STANDING[6:]]


def _person(limbs: list[tuple[int, int, int, int, int]]) -> np.ndarray:
    """A figure of rounded sticks on a shaded ground: (256,256,3) float32 in [0,1]."""
    y, x = np.mgrid[0:256, 0:256].astype(np.float64)
    picture = np.stack([0.35 + y / 900, 0.45 + x / 1200, 0.55 - y / 1100], axis=-1)
    for number, (x0, y0, x1, y1, radius) in enumerate(limbs):
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1)
        along = np.clip(along, 0, 1)
        distance = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
        skin = number in (0, 3, 5)
        colour = np.array([0.85, 0.65, 0.55] if skin else [0.2, 0.25, 0.6] if number > 5 else [0.7, 0.15, 0.15])
        shade = 1 - 0.3 * (distance / (radius + 1))[..., None].clip(0, 1)
        picture = picture * (1 - cover) + colour * shade * cover
    return picture.astype(np.float32)


def _waves(seed: int) -> np.ndarray:
    """Smooth coloured texture: (256,256,3) float32 in [0,1]."""
    y, x = np.mgrid[0:256, 0:256] / 256
    channels = [
        0.5 + 0.25 * np.sin((3 + seed + c) * 5 * x + c) + 0.25 * np.cos((2 + c) * 7 * y * (1 + x) + seed)
        for c in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.float32)


def draw_pictures() -> np.ndarray:
    """Two drawn persons, one mirrored, one texture: (4,256,256,3) float32 RGB in [0,1]."""
    waving = _person(WAVING)
    return np.stack([_person(STANDING), waving, waving[:, ::-1], _waves(1)])
