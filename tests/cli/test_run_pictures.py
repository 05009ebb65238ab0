"""Pictures that are stored otherwise than they are shown, through a whole run: the overlay is what the networks saw."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from glot_cli import load_result
from glot_cli.video import read_frames
from tests.cli.clips import read_video
from tests.cli.fixtures import Glot
from tests.video.small_videos import make_video, picture, set_matrix


def test_a_lying_picture_of_oblong_pixels(glot: Glot, drawable: str, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mp4", [*range(6)], aspect=Fraction(4, 3), audio="aac", audio_seconds=0.2)
    set_matrix(clip, 0, 1, -1, 0)
    assert glot("run", clip, "--out", tmp_path, "--style", "side").status == 0
    meta = load_result(tmp_path / "a").meta
    assert (meta.width, meta.height, meta.fps, meta.frame_count) == (48, 86, "30", 6)
    drawn, times = read_video(tmp_path / "a" / "overlay.mp4")
    assert times == [Fraction(k, 30) for k in range(6)]
    for image, frame in zip(drawn, read_frames(clip), strict=True):
        assert image.shape == (86, 48 + 48, 3)
        assert np.abs(image[:, :48].astype(int) - frame.image).mean() < 6
    with av.open(str(tmp_path / "a" / "overlay.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == 1 and len(container.streams.audio) == 1


def test_a_picture_that_changes_its_size(glot: Glot, drawable: str, tmp_path: Path) -> None:
    parts = [
        make_video(tmp_path / f"{width}.ts", [*range(3)], container_format="mpegts", size=(width, height)).read_bytes()
        for width, height in ((64, 48), (48, 36))
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    ended = glot("run", tmp_path / "a.ts", "--out", tmp_path / "out")
    assert ended.status == 0 and len(read_video(tmp_path / "out" / "a" / "overlay.mp4")[0]) == 6
    told = [line for line in ended.err if "64x48 to 48x36 pixels at frame 3, 0.10 s" in line]
    assert len(told) == 1


def test_images_at_a_rate_of_their_own(glot: Glot, drawable: str, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), picture(index))
    ended = glot("run", folder, "--out", tmp_path / "out", "--fps", "120")
    assert ended.status == 0 and not any("frames a second" in line for line in ended.err)
    assert load_result(tmp_path / "out" / "shots").meta.fps == "120"
    assert glot("render", tmp_path / "out" / "shots", "--style", "plain").status == 0
    for name in ("overlay.mp4", "plain.mp4"):
        assert read_video(tmp_path / "out" / "shots" / name)[1] == [Fraction(k, 120) for k in range(4)]
    ended = glot("run", folder, "--out", tmp_path / "assumed", "--no-render")
    assert ended.status == 0 and any("how many frames a second it has; taken for 30" in line for line in ended.err)


def test_pictures_that_are_too_large(glot: Glot, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mp4", [0, 1])
    ended = glot("run", clip, "--out", tmp_path / "out", "--max-pixels", "3000")
    assert (ended.status, len(ended.err)) == (1, 1) and "64 x 48 pixels" in ended.err[0]
    assert ended.err[0].endswith("(--max-pixels)") and not (tmp_path / "out").exists()
