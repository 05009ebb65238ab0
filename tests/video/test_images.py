"""Still images of every kind, pictures that move, and what is no image."""

from __future__ import annotations

import os
import struct
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from glot_cli.errors import InputError
from glot_cli.video import images, probe, read_frames
from tests.video.small_videos import make_video, number, picture

RNG = np.random.default_rng(0)
SOFT = np.asarray(
    cv2.resize(RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC), np.uint8
)


def read(path: Path) -> np.ndarray:
    info = probe(path)
    (frame,) = read_frames(info)
    assert frame.image.shape == (info.height, info.width, 3) and frame.image.dtype == np.uint8
    return frame.image.astype(int)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_bits_of_a_camera_in_sixteen(tmp_path: Path, name: str, bits: int) -> None:
    """Its white is white, not all but black."""
    deep = np.round(SOFT.astype(float) / 255 * ((1 << bits) - 1)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / name), deep[..., ::-1])
    assert np.abs(read(tmp_path / name) - SOFT).max() <= 1
    cv2.imwrite(str(tmp_path / name), deep[..., 1])
    assert np.abs(read(tmp_path / name) - SOFT[..., 1:2]).max() <= 1


def test_a_dark_image_of_a_folder_stays_dark(tmp_path: Path) -> None:
    deep = SOFT.astype(np.uint16) * 16
    for index, share in enumerate((1, 16, 1)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), deep[..., ::-1] // share)
    warnings: list[str] = []
    frames = [frame.image.astype(int) for frame in read_frames(tmp_path, warn=warnings.append)]
    assert np.abs(frames[0] - SOFT).max() <= 1 and np.abs(frames[1] * 16 - SOFT).max() <= 17
    assert len(warnings) == 1 and "12 of 16 bits" in warnings[0]


@pytest.mark.parametrize(
    ("mode", "name"),
    [("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("L", "a.png"), ("1", "a.png"), ("P", "a.png"), ("LA", "a.png")],
)
def test_modes(tmp_path: Path, mode: str, name: str) -> None:
    image = Image.fromarray(SOFT).convert(mode)
    image.save(tmp_path / name, quality=100)
    assert np.abs(read(tmp_path / name) - np.asarray(image.convert("RGB"))).mean() < 2


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_what_is_transparent_is_white(tmp_path: Path, name: str) -> None:
    image = np.dstack([SOFT, np.full((48, 64), 255, np.uint8)])
    image[:, 32:, 3], image[:, :8, 3] = 0, 128
    Image.fromarray(image).save(tmp_path / name, lossless=True)
    shown = read(tmp_path / name)
    assert (shown[:, 32:] == 255).all() and np.array_equal(shown[:, 8:32], SOFT[:, 8:32])
    assert np.abs(shown[:, :8] - (255 + SOFT[:, :8].astype(int)) / 2).max() <= 2


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations(tmp_path: Path, name: str, orientation: int) -> None:
    """By what EXIF calls them: where the stored picture's row 0 and column 0 are seen."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SOFT).save(tmp_path / name, exif=exif, quality=95, lossless=True)
    turned = SOFT if orientation < 5 else SOFT.transpose(1, 0, 2)
    row, column = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    turned = turned[::-1] if "bottom" in (row, column) else turned
    turned = turned[:, ::-1] if "right" in (row, column) else turned
    assert np.abs(read(tmp_path / name) - turned).mean() < 4


def moving(path: Path, count: int = 6, **options: object) -> Path:
    """A file of several pictures."""
    first, *others = (Image.fromarray(picture(index)) for index in range(count))
    first.save(path, format="PNG" if path.suffix == ".apng" else None, save_all=True, append_images=others, **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.apng", "a.gif"])
def test_all_pictures_that_move_are_read(tmp_path: Path, name: str) -> None:
    info = probe(moving(tmp_path / name, duration=[80, 80, 80, 400, 80, 80]))
    frames = list(read_frames(info))
    assert (info.fps, info.fps_from, info.frames) == (Fraction(25, 2), "stamps", 6)
    assert [number(frame.image) for frame in frames] == list(range(6))
    assert [float(frame.time) for frame in frames] == pytest.approx([0, 0.08, 0.16, 0.24, 0.64, 0.72])
    assert [frame.index for frame in read_frames(info, 0.1, 0.3)] == [2, 3]


def test_pages_are_images(tmp_path: Path) -> None:
    info = probe(moving(tmp_path / "a.tif"), fps=10)
    assert [(number(frame.image), frame.time) for frame in read_frames(info)] == [
        (k, Fraction(k, 10)) for k in range(6)
    ]
    first, second = Image.fromarray(picture(0)), Image.fromarray(picture(1, 32, 24))
    first.save(tmp_path / "b.tif", save_all=True, append_images=[second])
    warnings: list[str] = []
    assert [number(frame.image) for frame in read_frames(tmp_path / "b.tif", warn=warnings.append)] == [0]
    assert len(warnings) == 1 and "only the first is read" in warnings[0]


def test_a_folder_of_images_names_what_it_leaves_out(tmp_path: Path) -> None:
    for index in range(3):
        moving(tmp_path / f"{index}.webp", 2)
    for name in ("a.txt", "b.mp4", "c", "d", ".hidden"):
        (tmp_path / name).touch()
    warnings: list[str] = []
    assert len(list(read_frames(tmp_path, warn=warnings.append))) == 3
    assert [line.split(": ", 1)[1] for line in warnings] == [
        "is read as a folder of images; left out: a.txt, b.mp4, c and 1 more",
        "holds several pictures; of such images only the first is read",
    ]


def test_a_folder_of_videos_says_how_to_give_them(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=r"holds 2 videos, as a\.MOV, but no images; give the videos themselves, as in"
    ):
        probe(tmp_path)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def bombs() -> dict[str, bytes]:
    """Small files that claim 20000 x 20000 pixels, or as many as they can."""
    Image.new("RGB", (8, 8)).save(jpeg := BytesIO(), "JPEG")
    data = bytearray(jpeg.getvalue())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 20000, 20000)
    size = (16382).to_bytes(3, "little") * 2
    webp = b"RIFF" + struct.pack("<I", 999) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + bytes(900)
    lossless = (
        b"RIFF" + struct.pack("<I", 99) + b"WEBPVP8L" + struct.pack("<I", 90) + b"\x2f\xff\xff\xff\x0f" + bytes(90)
    )
    lossy = b"RIFF" + struct.pack("<I", 99) + b"WEBPVP8 " + struct.pack("<I", 90) + b"\x9d\x01\x2a".rjust(6, b"\0")
    lossy += b"\xff\x3f\xff\x3f" + bytes(90)
    tiff = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 6)
    for tag, value in ((256, 20000), (257, 20000), (258, 8), (259, 1), (262, 1), (273, 8)):
        tiff += struct.pack("<HHII", tag, 4, 1, value)
    bmp = b"BM" + struct.pack("<IIIIiiHHIIiiII", 200, 0, 54, 40, 20000, 20000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)
    return {
        "a.png": png(20000, 20000),
        "a.jpg": bytes(data),
        "a.webp": webp,
        "b.webp": lossless,
        "c.webp": lossy,
        "a.tif": tiff + bytes(4),
        "a.bmp": bmp,
    }


@pytest.mark.parametrize("name", bombs())
def test_images_that_are_too_large_are_not_decoded(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(bombs()[name])
    monkeypatch.setattr(images, "_pixels", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"has (20000 x 20000|1638\d x 1638\d) pixels") as caught:
        probe(tmp_path / name)
    assert caught.value.option == "max_pixels"


def test_the_limit_is_the_callers(tmp_path: Path) -> None:
    Image.fromarray(SOFT).save(tmp_path / "a.png")
    assert probe(tmp_path / "a.png", max_pixels=64 * 48).frames == 1
    with pytest.raises(InputError, match="64 x 48"):
        probe(tmp_path / "a.png", max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_white_are_refused(tmp_path: Path, mode: str) -> None:
    Image.fromarray(SOFT[..., 0].astype({"I": np.int32, "F": np.float32}[mode])).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="nobody can tell what is white"):
        probe(tmp_path / "a.tif")


def test_half_an_image_is_refused(tmp_path: Path) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8))
    for name in ("a.jpg", "a.png", "a.webp", "a.tif", "a.bmp"):
        noise.save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match="not an image that can be read, or damaged"):
            probe(tmp_path / name)
    cv2.imwrite(str(tmp_path / "deep.png"), RNG.integers(0, 65536, (200, 200, 3), dtype=np.uint16))
    (tmp_path / "deep.png").write_bytes((tmp_path / "deep.png").read_bytes()[:100_000])
    with pytest.raises(InputError, match="or damaged"):
        probe(tmp_path / "deep.png")


def test_photographs_of_phones_are_told_from_films(tmp_path: Path) -> None:
    """HEIC and AVIF have the form of an MP4, and FFmpeg finds a film in their tiles."""
    data = make_video(tmp_path / "a.mp4", [0]).read_bytes()
    for brand in (b"heic", b"avif"):
        (tmp_path / "a.heic").write_bytes(data.replace(b"ftypisom", b"ftyp" + brand, 1))
        with pytest.raises(InputError, match=r"a\.heic: a still image of a kind that is not read; export it as JPEG"):
            probe(tmp_path / "a.heic")


def test_an_empty_channel_of_transparency_means_nothing(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([SOFT, np.zeros((48, 64), np.uint8)])).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), SOFT)


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nclip.mp4\n",
    "a.mp4": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.mp4\n",
    "b.mp4": "ffconcat version 1.0\nfile 'clip.mp4'\n",
    "c.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"></MPD>',
    "d.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "e.txt": "plain words\n" * 100,
    "f.mp4": "plain words\n" * 100,
    "g.ffmeta": ";FFMETADATA1\ntitle=x\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_and_words_are_no_videos(tmp_path: Path, name: str) -> None:
    make_video(tmp_path / "clip.mp4", [0, 1, 2])
    (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(InputError, match="not a video that can be read"):
        probe(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["pipe.mp4", "pipe.png", "folder/pipe.png"])
def test_pipes_are_not_opened(tmp_path: Path, name: str) -> None:
    """To open one waits for a writer, for ever."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="no regular file"):
        probe((tmp_path / name).parent if "/" in name else tmp_path / name)


def test_patterns_and_addresses_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture(1))
    monkeypatch.chdir(tmp_path)
    for name in ("%d.ppm", "*.ppm", "concat:1.png|1.png", "http://localhost/a.mp4", "lavfi:testsrc"):
        with pytest.raises(InputError, match="no such file"):
            probe(name)
    (tmp_path / "%d.mp4").write_bytes(make_video(tmp_path / "b.mp4", [0]).read_bytes())
    assert probe("%d.mp4").frames == 1


def test_parts_that_are_transparent_throughout_are_white(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image is converted some rows at a time; whether its transparency means anything is a matter of all of it."""
    monkeypatch.setattr(images, "_BAND", 64)
    pixels = np.full((12, 32, 4), 90, np.uint8)
    pixels[..., 3] = np.where(np.arange(12)[:, None] < 8, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = next(read_frames(tmp_path / "a.png")).image
    assert (image[:8] == 255).all() and (image[8:] == 90).all()
