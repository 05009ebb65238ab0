"""See a page of `glot view` in Chromium: python tests/interop/check_view.py RESULT

RESULT is the folder of a result whose video is there; its page is made anew, unless --page names one. Needs the Python
package `playwright` and a Chromium (`apt-get install chromium`); without them it says so and ends well. Joints, their
pixels, pictures of the video and the console are held to the record; nothing may leave the
file.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from glot_cli.api import view
from glot_cli.results import Result, load_result, pose_bodies
from glot_cli.weights.bodies import recorded_body

FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]
MOST_MM, MOST_PX = 0.5, 0.5
VIEWS = {
    "both": "glot.set('layout', 'both')",
    "camera": "glot.set('layout', 'film')",
    "camera_skeleton_floor": "glot.set('form', 'skeleton'); glot.set('grid', true)",
    "room": "glot.set('layout', 'room'); glot.set('form', 'mesh'); glot.set('grid', false)",
    "room_skeleton": "glot.set('form', 'skeleton')",
}


def skip(why: str) -> None:
    print(f"check_view: skipped, {why}")
    raise SystemExit(0)


def until(page: Any, script: str, seconds: float = 120) -> bool:
    """Whether something comes true in time. Playwright's own waiting evaluates text, which the page forbids."""
    end = time.perf_counter() + seconds
    while not (found := bool(page.evaluate(script))) and time.perf_counter() < end:
        page.wait_for_timeout(20)
    return found


def faults_of_joints(page: Any, result: Result) -> tuple[float, float]:
    """Greatest distances of joints (mm) and of their pixels (at most a picture's width outside) in some frames."""
    body = recorded_body(result.meta.body_model, result.meta.body_model_sha256)
    start, space = page.evaluate("glot.recording.start"), result.has_world
    frames = np.unique(result.frame)
    far = off = 0.0
    for frame in frames[np.linspace(0, len(frames) - 1, 25).astype(int)]:
        rows = result.select(result.frame == frame)
        _, joints = pose_bodies(body, rows, world=space)
        if not space:
            joints = joints * [1, -1, -1]
        shown = page.evaluate(f"glot.jointPositions({frame - start})")
        assert [one["person"] for one in shown] == rows.person.tolist(), f"frame {frame}: other people are shown"
        pixels = page.evaluate(f"glot.jointPixels({frame - start})")
        for row, (place, dots) in enumerate(zip(shown, pixels, strict=True)):
            far = max(far, 1e3 * np.linalg.norm(np.reshape(place["joints"], (24, 3)) - joints[row], axis=1).max())
            expected = rows.joints2d[row]
            near = np.abs(expected - [result.meta.width / 2, result.meta.height / 2]).max(1) < result.meta.width
            if near.any():
                off = max(off, np.abs(np.reshape(dots["pixels"], (24, 2)) - expected)[near].max())
    return far, off


def steps_fault(page: Any) -> str | None:
    """Whether the video shows the frame that is asked for, by its presentation time."""
    for frame in np.linspace(0, page.evaluate("glot.recording.count") - 1, 12).astype(int).tolist():
        seen = page.evaluate(
            """async (frame) => {
              const video = document.getElementById('video');
              const told = new Promise((done) => video.requestVideoFrameCallback((_, about) => done(about.mediaTime)));
              const before = glot.state.frame;
              glot.seek(frame);
              if (before === frame) return glot.recording.times[frame];
              return Promise.race([told, new Promise((done) => setTimeout(() => done(null), 8000))]);
            }""",
            frame,
        )
        stamp = page.evaluate(f"glot.recording.times[{frame}]")
        if seen is None or abs(seen - stamp) > 1e-3:
            return f"asked for frame {frame} at {stamp:.4f} s the video shows {seen}"
        until(page, "!document.getElementById('video').seeking")
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--page", type=Path, help="a page that is there already; by default one is made")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the page")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    wanted = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip("the package playwright is not installed")
    if not wanted.chromium:
        skip("there is no Chromium")
    result, faults = load_result(wanted.result), []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = wanted.page or view(wanted.result, Path(folder) / "view.html")
        browser = playwright.chromium.launch(executable_path=wanted.chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 860}, reduced_motion="reduce")
        page.set_default_timeout(180_000)
        requests: list[str] = []
        page.on("console", lambda m: faults.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: requests.append(request.url))
        begin = time.perf_counter()
        page.goto(path.resolve().as_uri())
        if not until(page, "window.glot !== undefined"):
            faults.append("it does not begin")
        usable = time.perf_counter() - begin
        page.evaluate("glot.ready")
        size, whole = path.stat().st_size / 1e6, time.perf_counter() - begin
        print(f"{size:.2f} MB, usable after {usable:.2f} s, with video {whole:.2f} s")
        faults += [f"a request: {url[:80]}" for url in requests if not url.startswith(("file:", "blob:", "data:"))]
        if len([url for url in requests if url.startswith("file:")]) != 1:
            faults.append("other files are read")
        far, off = faults_of_joints(page, result)
        print(f"joints within {far:.3f} mm of the record, {off:.3f} px of its pixels")
        if far > MOST_MM:
            faults.append(f"joints are {far:.2f} mm off")
        if off > MOST_PX:
            faults.append(f"joints are {off:.2f} px off in the picture")
        if page.evaluate("glot.recording.video_blocks > 0"):
            fault = steps_fault(page)
            if fault:
                faults.append(fault)
        if wanted.pictures:
            wanted.pictures.mkdir(parents=True, exist_ok=True)
            page.evaluate("glot.seek(Math.round(0.4 * glot.recording.count))")
            for name, script in VIEWS.items():
                page.evaluate(f"() => {{ {script} }}")
                page.wait_for_timeout(1500)
                page.screenshot(path=wanted.pictures / f"{name}.png")
        page.evaluate("() => { glot.seek(0); glot.play(); }")
        if not until(page, "glot.state.frame > 0"):
            faults.append("it does not play")
        memory = page.evaluate("performance.memory && performance.memory.usedJSHeapSize")
        print(f"heap {memory / 1e6:.0f} MB")
        browser.close()
    for fault in dict.fromkeys(faults):
        print(f"FAULT {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
