"""The focal length that a photograph's own EXIF data give."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# Tags of EXIF 2.3. Those of the focal plane say how densely its pixels lie, in pixels per unit of length.
_FOCAL_MM, _FOCAL_35 = 0x920A, 0xA405
_RESOLUTION, _UNIT, _WIDTH, _HEIGHT = 0xA20E, 0xA210, 0xA002, 0xA003
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_FILM_DIAGONAL = math.hypot(36, 24)  # mm; 35-mm equivalents compare diagonals (CIPA DCG-001)
_LEAST, _MOST = 0.1, 50.0  # image diagonals; what lies outside is an error of whoever wrote it


def exif_focal(path: Path, width: int, height: int) -> float | None:
    """Focal length in pixels of a picture of `width` x `height` pixels, None where its file does not tell.

    From the equivalent for 35-mm film; else from the focal length itself and the pixels of the focal plane. That nobody
    cut the picture smaller afterwards is taken for granted; that it was scaled is seen where the file says its size.
    """
    # Not Image.open: where ultralytics is loaded it stands for one that wants to install packages.
    from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin
    from PIL.ExifTags import IFD

    jpeg, png, webp = JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, WebPImagePlugin.WebPImageFile
    kinds: dict[str, Callable[[Path], ImageFile]] = {".jpg": jpeg, ".jpeg": jpeg, ".png": png, ".webp": webp}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data, at the opening too, which looks for a resolution
            with kind(path) as image:
                tags = image.getexif().get_ifd(IFD.Exif)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error):
        return None
    diagonal = math.hypot(width, height)
    focal = _number(tags.get(_FOCAL_35)) / _FILM_DIAGONAL * diagonal
    if not focal:
        millimetres = _UNIT_MM.get(tags.get(_UNIT, 2), 0.0)
        per_mm = _number(tags.get(_RESOLUTION)) / millimetres if millimetres else 0.0
        taken = max(_number(tags.get(_WIDTH)), _number(tags.get(_HEIGHT)))
        focal = _number(tags.get(_FOCAL_MM)) * per_mm * (max(width, height) / taken if taken else 1.0)
    return focal if _LEAST * diagonal < focal < _MOST * diagonal else None


def _number(value: object) -> float:
    """A tag's value, 0 where there is none or none that makes sense."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
