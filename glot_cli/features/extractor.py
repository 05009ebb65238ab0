"""What a feature extractor is, and how one is found by its name.

A file of this folder adds one: a class that is called as the file is, decorated with `register`. It is imported when
somebody asks for that name, and not before; a preset names it, and nothing else has to know it.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

from glot_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from typing_extensions import Self


class PictureLandmarks(NamedTuple):
    """Landmarks (`body.landmarks.LANDMARK_NAMES`) of people in their crops. What is not known has reliability 0.

    Attributes:
        points: (..., 33, 2) x and y, -1 to 1 across the crop.
        visibility: (..., 33) probability that nothing hides the landmark.
        presence: (..., 33) probability that it lies in the crop, where it is said to be.
        reliability: (..., 33) inverse variance of its place, 1 for a landmark that is certain.
    """

    points: Tensor
    visibility: Tensor
    presence: Tensor
    reliability: Tensor


class FeatureExtractor(ABC):
    """Makes of every crop of a person a vector, of which the temporal network makes a body.

    Bodies keep the network's pose, and its camera says where they stand; a `LandmarkExtractor` allows more.

    Attributes:
        name: by which presets call it: the name of its file.
        feature_dim: numbers a frame.
        input_dim: numbers a frame of the temporal network's input.
        crop_size: side of a crop, pixels.
        crop_scale: side of the square that is cropped, in longer sides of the person's box.
        looks_fps: crops a second of video that are worth a look; rows between are left to `lifting`, which fills those
            of landmark vectors alone.
    """

    name: ClassVar[str]
    feature_dim: ClassVar[int]
    input_dim: ClassVar[int]
    crop_size: ClassVar[int]
    crop_scale: ClassVar[float]
    looks_fps: ClassVar[float] = math.inf

    @classmethod
    @abstractmethod
    def load(cls, files: Mapping[str, Path], device: str, *, half: bool = False) -> Self:
        """Read the weights.

        Args:
            files: the weight file under `features`, and the preset's other files under their names.
            device: as PyTorch calls it.
            half: compute in half precision, where that makes a difference.

        Raises:
            WeightsError: they are missing, damaged or of another network.
        """

    @staticmethod
    @abstractmethod
    def extract(
        frame: NDArray[np.uint8],
        squares: NDArray[np.floating],
        size: int,
        lean: NDArray[np.floating] | None = None,
    ) -> NDArray[np.uint8]:
        """Cut people out.

        Args:
            frame: (H, W, 3) RGB.
            squares: (N, 3) centre x, centre y and side of each, pixels of the frame.
            size: side of a crop, pixels.
            lean: (N,) how far people are known to lean to the right in the frame, radians, for those extractors that
                look at them upright.

        Returns:
            (N, size, size, 3) crops.
        """

    @abstractmethod
    def __call__(self, crops: Tensor | NDArray[np.uint8], lean: Tensor | NDArray[np.floating] | None = None) -> Tensor:
        """Crops (N, S, S, 3) RGB, cut with `lean` (N,), to features (N, feature_dim), float32 on the device.

        Features are those of the crops as they lie in the frame. It may return before the work is done.
        """

    def network_input(self, features: Tensor) -> Tensor:
        """The temporal network's input (N, input_dim) of features (N, feature_dim), frame by frame."""
        return features


class LandmarkExtractor(FeatureExtractor):
    """One whose features tell where landmarks are, so that bodies can be laid on them.

    Attributes:
        landmark_vectors: whether features are laid out as `landmark_vector` has them; then looks are made to agree,
            with one another and with the detector's keypoints, before they are lifted.
    """

    landmark_vectors: ClassVar[bool] = False

    @abstractmethod
    def landmarks(self, features: Tensor) -> PictureLandmarks:
        """The landmarks in features (N, feature_dim)."""

    @abstractmethod
    def mirror(self, features: Tensor) -> Tensor:
        """Features (N, feature_dim) as the mirrored crops would give them."""


Extractor = TypeVar("Extractor", bound=type[FeatureExtractor])

_registered: dict[str, type[FeatureExtractor]] = {}


def register(extractor: Extractor) -> Extractor:
    """Make an extractor known by its name; to be written above its class.

    Raises:
        ValueError: another one has that name, or frames would be left out that nothing can fill in.
    """
    if math.isfinite(extractor.looks_fps) and not getattr(extractor, "landmark_vectors", False):
        raise ValueError(f"{extractor.name!r} leaves frames out, so its features have to be landmark vectors")
    if _registered.setdefault(extractor.name, extractor) is not extractor:
        raise ValueError(f"two feature extractors are called {extractor.name!r}")
    return extractor


def find(name: str) -> type[FeatureExtractor]:
    """The extractor of that name; the file of that name in this folder is imported if need be.

    Raises:
        UsageError: there is none.
    """
    package = importlib.import_module(__package__)
    if name not in _registered and name in {module.name for module in pkgutil.iter_modules(package.__path__)}:
        importlib.import_module(f"{__package__}.{name}")
    if name not in _registered:
        raise UsageError(f"there is no feature extractor '{name}'")
    return _registered[name]
