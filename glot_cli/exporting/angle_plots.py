"""Joint angles over time, drawn: a panel for each, right and left in one. Needs matplotlib, the extra `eval`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import UsageError
from glot_cli.exporting.anatomy import ANGLES
from glot_cli.exporting.characters import Character
from glot_cli.exporting.outbox import Outbox

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise UsageError("needs matplotlib", remedy="pip install 'glot-cli[eval]'", option="plot") from error

ACROSS = 4  # panels beside each other
WIDEST = 4000  # points drawn of a curve


def draw_angles(box: Outbox, name: str, character: Character, angles: Mapping[str, NDArray[np.floating]]) -> None:
    """Draw all of `ANGLES`, unless another format of the same export did.

    Args:
        box: where the picture goes.
        name: of the picture.
        character: whose angles they are; lines are broken where it is not seen.
        angles: (T,) each, degrees.
    """
    if box.folder / name in box.files:
        return
    titles = list(dict.fromkeys(_title(angle) for angle in ANGLES))
    down = -(-len(titles) // ACROSS)
    figure = Figure(figsize=(4 * ACROSS, 2 * down))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.06, 0.05, 0.99, 0.98, wspace=0.2, hspace=0.35)
    panels = dict(zip(titles, figure.subplots(down, ACROSS, sharex=True).flat, strict=False))
    thin = max(1, len(character.times) // WIDEST)
    for angle in ANGLES:
        shown = np.where(character.seen, angles[angle], np.nan)[::thin]
        colour = {"r": "C3", "l": "C0"}.get(angle.rpartition("_")[2], "0.2")
        panel = panels[_title(angle)]
        panel.plot(character.times[::thin], shown, color=colour, linewidth=0.9, label=angle)
        panel.set_title(_title(angle), fontsize=9)
        panel.tick_params(labelsize=7, labelbottom=True)
        panel.axhline(0, color="0.85", linewidth=0.6, zorder=0)
    for panel in figure.axes[len(titles) :]:
        panel.set_visible(False)
    figure.supxlabel("seconds", fontsize=9)
    figure.supylabel("degrees: right red, left blue, others grey", fontsize=9)
    figure.savefig(box.path(name), format="png", dpi=100)


def _title(angle: str) -> str:
    """An angle without its side."""
    name, _, side = angle.rpartition("_")
    return name if side in ("r", "l") else angle
