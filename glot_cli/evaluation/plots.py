"""Pictures of an evaluation: errors over time, and the frames that came out worst."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glot_cli.datasets.dataset import Dataset
from glot_cli.errors import OutputError, UsageError
from glot_cli.evaluation.protocols import Evaluation
from glot_cli.files.atomic import not_written, whole

WORST = 6  # frames shown
WIDEST = 4000  # points drawn of a curve


def require(path: Path) -> None:
    """Check that a plot can be drawn there, for those who would rather know before an evaluation than after it.

    Args:
        path: the picture to write. A picture cannot prove that glot drew it, so none is replaced.

    Raises:
        UsageError: matplotlib is not installed, or draws no such kind of picture.
        OutputError: there is a file of that name, or no folder for it.
    """
    try:
        import matplotlib.figure  # noqa: F401
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise UsageError("plots need matplotlib", remedy="pip install 'glot-cli[eval]'") from error
    if _kind(path) not in FigureCanvasAgg.get_supported_filetypes():
        remedy = "choose a name that ends in .png, .svg or .pdf"
        raise UsageError("no such kind of picture can be drawn", path=path, remedy=remedy, option="plot")
    if os.path.lexists(path):
        remedy = "choose another name, or remove it"
        raise OutputError("is there already", path=path, remedy=remedy, option="plot")
    if not path.parent.is_dir():
        raise OutputError("no such folder", path=path.parent, remedy="make it, or choose another", option="plot")


def _kind(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def plot(evaluation: Evaluation, dataset: Dataset, path: Path, images: Path | None = None) -> None:
    """Draw PA-MPJPE and MPJPE of every frame, videos one after another, and the worst frames.

    Args:
        evaluation: of the data set.
        dataset: whose pictures are shown.
        path: the picture to write: .png, .svg or .pdf.
        images: folder in which the data set's image names are found; the worst frames are shown where they are.

    Raises:
        UsageError: matplotlib is not installed, or draws no such kind of picture.
        OutputError: the picture cannot be written, or something of its name is there.
    """
    require(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    errors = {
        name: 1000 * np.concatenate([s.errors[name] for s in evaluation.sequences]) for name in ("mpjpe", "pa_mpjpe")
    }
    rows = np.concatenate([s.rows for s in evaluation.sequences])
    worst = np.argsort(errors["pa_mpjpe"])[::-1][:WORST]
    pictures = [_picture(dataset, int(rows[i]), images) for i in worst]
    shown = [(n, i, p) for n, (i, p) in enumerate(zip(worst, pictures, strict=True), 1) if p is not None]
    figure = Figure(figsize=(14, 8 if shown else 5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2 if shown else 1, max(len(shown), 1))
    curve = figure.add_subplot(grid[0, :])
    at = np.arange(len(rows))
    thin = max(1, len(rows) // WIDEST)
    for name, title in (("mpjpe", "MPJPE"), ("pa_mpjpe", "PA-MPJPE")):
        curve.plot(at[::thin], errors[name][::thin], label=title, linewidth=0.8)
    ends = np.cumsum([len(s.rows) for s in evaluation.sequences])
    for end, sequence in zip(ends, evaluation.sequences, strict=True):
        curve.axvline(end, color="0.85", linewidth=0.8)
        if len(ends) <= 12:
            middle, across = end - len(sequence.rows) / 2, curve.get_xaxis_transform()
            curve.text(middle, 0.02, sequence.name[-24:], ha="center", va="bottom", fontsize=7, transform=across)
    for place, i in enumerate(worst, 1):
        curve.annotate(str(place), (i, errors["pa_mpjpe"][i]), fontsize=8, color="C3")
    curve.set(xlabel="frame", ylabel="mm", title=f"{dataset.name}, {evaluation.protocol['rules']} rules")
    curve.legend()
    for column, (place, i, picture) in enumerate(shown):
        axes = figure.add_subplot(grid[1, column])
        axes.imshow(picture)
        axes.set_title(f"{place}: {errors['pa_mpjpe'][i]:.0f} mm", fontsize=8)
        axes.axis("off")
    try:
        with whole(path) as aside:
            figure.savefig(aside, format=_kind(path))
    except (OSError, ValueError) as error:
        raise not_written(path, error, "choose another name", option="plot") from error


def _picture(dataset: Dataset, row: int, images: Path | None) -> NDArray[np.uint8] | None:
    """The image of a row, cut down to the person, (h, w, 3) RGB; None where it is not there."""
    if dataset.image is None or dataset.bbox is None:
        return None
    import cv2

    name = dataset.image[row]
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    path = (images or Path()) / name
    picture = cv2.imread(str(path)) if path.is_file() else None
    if picture is None:
        return None
    x, y, width, height = (float(v) for v in dataset.bbox[row])
    left, top = max(0, int(x - 0.6 * width)), max(0, int(y - 0.6 * height))
    part = picture[top : int(y + 0.6 * height), left : int(x + 0.6 * width)]
    return np.ascontiguousarray((part if part.size else picture)[..., ::-1])
