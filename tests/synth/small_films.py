"""Films so small that tests can draw them."""

from __future__ import annotations

from fractions import Fraction

from glot_cli.synth.request import Wishes

SMALL = Wishes(seconds=0.6, fps=Fraction(10), size=(192, 108))  # six frames
