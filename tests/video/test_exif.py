"""Focal lengths out of photographs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from glot_cli.video import probe
from glot_cli.video.exif import exif_focal

PIXELS = np.zeros((48, 64, 3), np.uint8)
DIAGONAL = 80.0


def photograph(path: Path, tags: dict[int, object], orientation: int = 1) -> Path:
    from PIL import Image
    from PIL.ExifTags import IFD

    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(IFD.Exif).update(tags)
    Image.fromarray(PIXELS).save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_equivalent_for_film_is_a_share_of_the_diagonal(tmp_path: Path, suffix: str) -> None:
    """26 mm on 36 x 24 mm sees 79.5 degrees from corner to corner."""
    path = photograph(tmp_path / f"photo{suffix}", {0xA405: 26})
    focal = probe(path).focal
    assert focal is not None
    assert math.degrees(2 * math.atan(DIAGONAL / 2 / focal)) == pytest.approx(79.5, abs=0.1)


@pytest.mark.parametrize(("unit", "per_unit"), [(2, 25.4), (3, 10.0), (None, 25.4)])
def test_pixels_of_the_focal_plane(tmp_path: Path, unit: int | None, per_unit: float) -> None:
    """A lens of 10 mm before a sensor 16 mm wide, whose 640 pixels were scaled to the picture's 64."""
    tags: dict[int, object] = {0x920A: 10.0, 0xA20E: 640 / 16 * per_unit, 0xA002: 640, 0xA003: 480}
    path = photograph(tmp_path / "photo.jpg", tags | ({} if unit is None else {0xA210: unit}))
    assert exif_focal(path, 64, 48) == pytest.approx(40.0, rel=1e-3)
    assert exif_focal(path, 48, 64) == pytest.approx(40.0, rel=1e-3)  # stored lying


@pytest.mark.parametrize(
    "tags", [{}, {0xA405: 0}, {0xA405: 65535}, {0x920A: 4.2}, {0x920A: 4.2, 0xA20E: 100.0, 0xA210: 1}]
)
def test_what_makes_no_sense_is_not_believed(tmp_path: Path, tags: dict[int, object]) -> None:
    assert exif_focal(photograph(tmp_path / "photo.jpg", tags), 64, 48) is None


def test_a_damaged_file_tells_nothing(tmp_path: Path) -> None:
    path = photograph(tmp_path / "photo.jpg", {0xA405: 26})
    data = bytearray(path.read_bytes())
    start = data.index(b"Exif")
    data[start + 6 : start + 60] = b"\xff" * 54
    path.write_bytes(data)
    assert exif_focal(path, 64, 48) is None
    path.write_bytes(b"no picture")
    assert exif_focal(path, 64, 48) is None


def test_damaged_tags_are_not_complained_of(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Pillow looks into them already when it opens the file, for a resolution."""
    path = photograph(tmp_path / "photo.jpg", {0xA405: 26})
    data = bytearray(path.read_bytes())
    count = data.index(b"Exif") + 6 + 8  # behind the header of 8 bytes: how many tags there are
    data[count : count + 2] = b"\xff\xff"
    path.write_bytes(data)
    exif_focal(path, 64, 48)
    assert not recwarn.list
