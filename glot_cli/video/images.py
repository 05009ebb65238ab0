"""Still images and pictures that move (WebP, PNG, TIFF of several pages), through Pillow."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError
from glot_cli.files.pixels import check_pixels
from glot_cli.video.media import VIDEO_SUFFIXES, check_file
from glot_cli.video.planes import on_white, over_white
from glot_cli.video.upright import EXIF_ORIENTATIONS, Orientation

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it prints of damaged files is said in a line of ours

IMAGE_SUFFIXES = frozenset({".apng", ".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MILLISECONDS = Fraction(1, 1000)  # unit of the durations that moving pictures give

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

_ORIENTATION, _BITS = 0x0112, 0x0102  # tags of TIFF and EXIF
_UNSAID = 100  # milliseconds that browsers show a picture whose duration is 0
_DEPTHS = (10, 12, 14)  # bits that cameras store in 16
_LOOKED_AT = 5  # images of a folder, to see how many bits they use
_NAMED = 3  # files in a message
_BAND = 1 << 20  # pixels that are converted at a time: Pillow takes four copies of a picture else


def image_files(path: Path) -> list[Path] | None:
    """The images of a folder in natural order (2 before 10), [path] for one image, None for any other file."""
    if path.is_dir():
        files = [file for file in _seen(path) if file.suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            raise _no_images(path)
        for file in files:
            check_file(file)
        return sorted(files, key=_natural_key)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        check_file(path)
        return [path]
    return None


def left_out(folder: Path) -> list[str]:
    """A line on the files of a folder of images that are none, where there are such."""
    others = sorted(file.name for file in _seen(folder) if file.suffix.lower() not in IMAGE_SUFFIXES and file.is_file())
    if not others:
        return []
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return [f"{folder}: is read as a folder of images; left out: {', '.join(others[:_NAMED])}{more}"]


def _seen(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if not file.name.startswith("."))


def _no_images(folder: Path) -> InputError:
    videos = sorted(file.name for file in _seen(folder) if file.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        remedy = f"give a video or a folder of {', '.join(sorted(IMAGE_SUFFIXES))} files"
        return InputError("a folder without images", path=folder, remedy=remedy)
    held = f"{len(videos)} videos, as {videos[0]}," if len(videos) > 1 else f"the video {videos[0]}"
    remedy = f"give the videos themselves, as in {folder / ('*' + Path(videos[0]).suffix)}"
    return InputError(f"a folder that holds {held} but no images", path=folder, remedy=remedy)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that compares runs of digits as numbers; the name itself decides between 1 and 01."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts] + [(2, 0, path.name)]


class Album:
    """The pictures of a folder of images, or of one image file: one, or several that move or are pages.

    Args:
        files: the images.
        max_pixels: that a picture may have.

    Attributes:
        files: the images.
        stamps: of each picture and of the end, in milliseconds, where the file gives them; else None.
        notes: lines on what is not read.

    Raises:
        InputError: the first image cannot be read, or is too large.
    """

    def __init__(self, files: list[Path], max_pixels: int) -> None:
        self.files, self.max_pixels = files, max_pixels
        self.stamps: list[int] | None = None
        self.notes = left_out(files[0].parent) if len(files) > 1 else []
        self._pages: range | None = None  # of one file of several pictures
        with _opened(files[0], max_pixels) as image:
            if len(files) == 1:
                self._look_through(image)
            elif _count(image) > 1:
                self.notes.append(f"{files[0]}: holds several pictures; of such images only the first is read")
        self._depth = self._bits()
        if self._depth < 16:
            self.notes.append(f"{files[0]}: uses {self._depth} of 16 bits; white is taken for {(1 << self._depth) - 1}")

    def __len__(self) -> int:
        return len(self._pages or self.files)

    def pictures(self) -> Iterator[Callable[[], Picture]]:
        """A function for each picture in turn that reads it, upright; those of one file are read at once.

        The functions raise an InputError for an image that cannot be read.
        """
        if self._pages is None:
            for file in self.files:
                yield lambda file=file: self._read(file)  # type: ignore[misc]
            return
        with _opened(self.files[0], self.max_pixels) as image:
            for page in self._pages:
                image.seek(page)
                check_pixels(*image.size, self.files[0], self.max_pixels)
                picture = _upright(image, _pixels(image, self.files[0], self._depth))
                yield lambda picture=picture: picture  # type: ignore[misc]

    def _look_through(self, image: ImageFile) -> None:
        """See how many pictures there are in a file, and when they are shown."""
        count = _count(image)
        first = int(getattr(image, "default_image", False))  # APNG: shown by those alone who cannot show the others
        if count - first < 2:
            return
        sizes, stamps = set(), [0]
        for page in range(first, count):
            image.seek(page)
            sizes.add(image.size)
            if image.format == "WEBP":
                image.load()  # which alone tells the duration
            stamps.append(stamps[-1] + (round(image.info.get("duration") or 0) or _UNSAID))
        if len(sizes) > 1:  # thumbnails, the levels of a pyramid
            self.notes.append(f"{self.files[0]}: holds {count} pictures of several sizes; only the first is read")
            return
        self._pages = range(first, count)
        self.stamps = None if image.format == "TIFF" else stamps

    def _read(self, file: Path) -> Picture:
        with _opened(file, self.max_pixels) as image:
            return _upright(image, _pixels(image, file, self._depth))

    def _bits(self) -> int:
        """How many bits pictures of 16 use: a camera's 12 would be all but black.

        Some pictures of a folder are looked at, so that they all come out alike.
        """
        step = max(1, len(self.files) // _LOOKED_AT)
        most = 0
        for file in self.files[::step]:
            with _opened(file, self.max_pixels) as image:
                if not _is_deep(image):
                    return 16
                most = max(most, int(_deep_pixels(image, file).max()))
        return next((bits for bits in _DEPTHS if most < 1 << bits), 16)


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[ImageFile]:
    """An image file, of which only the header was read. Whatever goes wrong in the block is a fault of the file."""
    # Not Image.open: where ultralytics is loaded it stands for one that wants to install packages.
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data
            with path.open("rb") as file:
                head = file.read(30)
                file.seek(0)
                if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                    check_pixels(*_webp_size(head), path, max_pixels)  # it takes memory for it at once
                    kind: type[ImageFile] = WebPImagePlugin.WebPImageFile
                elif head[:8] == b"\x89PNG\r\n\x1a\n":
                    kind = PngImagePlugin.PngImageFile
                elif head[:2] == b"BM":
                    kind = BmpImagePlugin.BmpImageFile
                elif head[:2] == b"\xff\xd8":
                    kind = JpegImagePlugin.JpegImageFile
                else:
                    kind = TiffImagePlugin.TiffImageFile
                with kind(file) as image:
                    check_pixels(*image.size, path, max_pixels)
                    yield image
    except InputError:
        raise
    except PermissionError:
        raise InputError("not allowed to read it", path=path, remedy="change its permissions") from None
    except Exception:  # decoders raise whatever comes of bytes that nobody foresaw
        reason = "not an image that can be read, or damaged"
        raise InputError(reason, path=path, remedy="export it again or remove it") from None


def _webp_size(head: bytes) -> tuple[int, int]:
    """Width and height in the first 30 bytes of a WebP file (RFC 9649, 2.5 to 2.7)."""
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _count(image: ImageFile) -> int:
    return int(getattr(image, "n_frames", 1))


def _is_deep(image: ImageFile) -> bool:
    """Whether the samples of an image have 16 bits."""
    if image.format == "PNG":
        assert image.fp is not None
        place = image.fp.tell()
        image.fp.seek(24)  # of the header that every PNG begins with
        bits = image.fp.read(1)[0]
        image.fp.seek(place)
        return bits == 16
    tags = getattr(image, "tag_v2", {})  # a TIFF's
    return 16 in tags.get(_BITS, ())


def _deep_pixels(image: ImageFile, path: Path) -> NDArray[np.uint16]:
    """(H, W, 3 or 4) uint16 RGB of an image of 16 bits, which Pillow, unlike FFmpeg, cuts to 8 where it has colours."""
    import av

    image.load()  # it refuses half an image, which FFmpeg would take
    if image.mode.startswith("I;16"):
        return np.repeat(np.asarray(image).astype(np.uint16)[..., None], 3, axis=2)
    assert image.format is not None
    codec: Any = av.CodecContext.create(image.format.lower(), "r")
    codec.thread_count = 1
    frame = [*codec.decode(av.Packet(path.read_bytes())), *codec.decode(None)][0]
    clear = any(component.is_alpha for component in frame.format.components)
    deep: NDArray[np.uint16] = frame.to_ndarray(format="rgba64le" if clear else "rgb48le")
    return deep


def _pixels(image: ImageFile, path: Path, depth: int) -> Picture:
    """(H, W, 3) of the picture that an image file is at, as it is stored.

    Args:
        image: the open file.
        path: of it.
        depth: how many bits of 16 are in use, where it has so many.
    """
    if _is_deep(image) and (_count(image) == 1 or image.mode.startswith("I;16")):
        deep = np.minimum(_deep_pixels(image, path) >> (depth - 8), 255).astype(np.uint8)
        return over_white(deep) if deep.shape[2] == 4 else deep
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        reason = "holds numbers, of which nobody can tell what is white"
        raise InputError(reason, path=path, remedy="export it with 8 or 16 bits")
    image.load()
    # One that is transparent throughout comes from a program that left that channel empty.
    clear = "transparency" in image.info or image.mode.upper().endswith("A")
    clear = clear and any(band[..., 3].any() for _, band in _bands(image, "RGBA"))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, band in _bands(image, "RGBA" if clear else "RGB"):
        pixels[rows] = on_white(band) if clear else band
    return pixels


def _bands(image: ImageFile, mode: str) -> Iterator[tuple[slice, Picture]]:
    """An image in one of Pillow's modes, some rows after the other."""
    step = max(1, _BAND // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        yield slice(top, bottom), np.asarray(image.crop((0, top, image.width, bottom)).convert(mode))


def _upright(image: ImageFile, pixels: Picture) -> Picture:
    """A stored picture (H, W, 3), turned as the EXIF data of its file say."""
    return EXIF_ORIENTATIONS.get(image.getexif().get(_ORIENTATION, 1), Orientation()).upright(pixels)
