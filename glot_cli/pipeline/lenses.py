"""The lens of a video: its focal length as is known, else as the background or people tell it, and how it zooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.lifting.lifters import Features, VideoCamera
from glot_cli.pipeline.models import Models
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import Timeline
from glot_cli.tracking.tracks import Track
from glot_cli.video import VideoInfo
from glot_cli.world.background import ShotBackground
from glot_cli.world.given import GivenCamera
from glot_cli.world.lens import lens_zoom, turned_focal

SURE_FOCAL = 0.1  # standard deviation of its logarithm: people tell it to about 0.2

Zooms = list[NDArray[np.float64] | None]


def find_camera(
    info: VideoInfo,
    tracks: list[Track],
    seen: Timeline,
    scenes: Sequence[ShotBackground],
    features: Features,
    models: Models,
    options: Options,
    given: GivenCamera | None,
) -> VideoCamera:
    """The camera of a video, for lifting.

    How a lens zooms is told of each shot by itself. The median focal length of a shot is taken for that of all others:
    nothing compares shots.

    Args:
        info: what `probe` says of the video.
        tracks: one for each person in each shot, of n frames each.
        seen: the frames that were looked at.
        scenes: the backgrounds of all shots.
        features: (n, F) for each track.
        models: networks of the preset.
        options: focal length and window edges, and what is known of the camera.
        given: the camera's motion, where a file tells it.
    """
    told = None if options.focal or given is None else given.focal
    known = options.focal or (None if told is None else float(np.median(told))) or info.focal
    guess = known or float(np.hypot(info.width, info.height))
    camera = VideoCamera(float(info.fps), guess, torch.tensor([info.width / 2, info.height / 2]))
    if told is not None:
        return replace(camera, zoom=_as_rows(told / camera.focal) if np.ptp(told) else None)
    watched = options.camera != "static" and (given is None or given.translation is None)
    zooms: Zooms = [_zoom(scene, camera) if watched else None for scene in scenes]
    turned = None if known or options.camera == "static" else _turned_focal(scenes, zooms, camera)
    if turned:
        camera = replace(camera, focal=turned)
        zooms = [zoom if zoom is None else _zoom(scene, camera) for scene, zoom in zip(scenes, zooms, strict=True)]
    if any(zoom is not None for zoom in zooms):
        camera = replace(camera, zoom=_as_rows(_in_frames(seen, scenes, zooms)))
    if not known and not turned:
        step = max(1, round(camera.fps / models.preset.window_fps))
        focal = models.lifter.focal(tracks, features, camera, step=step, edges=options.edges)
        camera = replace(camera, focal=focal)
    return camera


def zoom_of_looks(
    camera: VideoCamera, ticks: NDArray[np.float64], scene: ShotBackground, start: int
) -> NDArray[np.float64] | None:
    """(L,) focal length over the camera's own in the frames in which the background of a shot was looked at.

    Args:
        camera: of the video.
        ticks: (F,) where the frames of a shot stand in time.
        scene: the shot's background.
        start: the shot's first frame.
    """
    if camera.zoom is None:
        return None
    numbers = np.searchsorted(ticks, scene.ticks).clip(max=len(ticks) - 1)
    return np.asarray(camera.zoom.double().numpy()[start + numbers])


def _zoom(scene: ShotBackground, camera: VideoCamera) -> NDArray[np.float64] | None:
    """(L,) focal length over its median through a shot; None where it does not change."""
    x, y = camera.centre.tolist()
    zoom = lens_zoom(scene, camera.focal, (x, y))
    return None if zoom is None else zoom / float(np.median(zoom))


def _in_frames(seen: Timeline, scenes: Sequence[ShotBackground], zooms: Zooms) -> NDArray[np.float64]:
    """(F,) zooms in all frames; between those in which the background was looked at they change evenly."""
    parts = []
    for scene, zoom, ticks in zip(scenes, zooms, np.split(seen.ticks, seen.shots[1:]), strict=True):
        if zoom is None:
            parts.append(np.ones(len(ticks)))
        else:
            between = np.exp(np.interp(ticks, scene.ticks, np.log(zoom)))
            parts.append(between / np.median(between))
    return np.concatenate(parts)


def _as_rows(zoom: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(zoom).float()


def _turned_focal(scenes: Sequence[ShotBackground], zooms: Zooms, camera: VideoCamera) -> float | None:
    """The focal length, pixels, by the shots whose cameras turn, which show it better than people do; None without."""
    x, y = camera.centre.tolist()
    told = [turned_focal(scene, camera.focal, (x, y), zoom) for scene, zoom in zip(scenes, zooms, strict=True)]
    sure = [(focal, spread) for focal, spread in filter(None, told) if spread < SURE_FOCAL]
    if not sure:
        return None
    focals, spreads = np.array(sure).T
    return float(np.exp(np.average(np.log(focals), weights=spreads**-2)))
