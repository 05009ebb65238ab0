"""Everything that can be held between this machine's GPU and its CPU, and how fast each part is there.

    PYTHONPATH=. python tests/device_check.py [--device cuda] [--seconds 420]

Needs PyTorch and the packages that a run needs; the tests of the suite that want a device, pytest too. Compares the
detector, the landmark networks, SPIN's network, GLoT, and a whole run on `examples/clip.mp4`, part by part, with the
CPU, where ONNX Runtime computes the first two. Prints a line for each comparison, PASS or FAIL, then frames a second.
Exit status 1 when anything fails, 2 when there is no device; what is not installed here is left out and named. What
has not begun after `--seconds` is left out too.

`--device cpu` holds the CPU against itself, in a minute: it says nothing but that this script works.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the checkout that this file is in, whatever is installed

from glot_cli.features.blazepose import BlazePoseFeatures  # noqa: E402
from glot_cli.features.landmark_vector import unpack  # noqa: E402
from glot_cli.features.spin import SpinFeatures  # noqa: E402
from glot_cli.features.spin_net import SpinNetwork  # noqa: E402
from glot_cli.lifting.windows import estimate  # noqa: E402
from glot_cli.pipeline.models import load_network, weight_files  # noqa: E402
from glot_cli.pipeline.presets import choose  # noqa: E402
from glot_cli.tracking.detector import PersonDetector  # noqa: E402
from glot_cli.video import read_frames  # noqa: E402

CLIP = ROOT / "examples" / "clip.mp4"
TESTS = ["tests/parity", "tests/features/test_spin.py", "tests/cli/test_run_paper.py", "tests/test_device.py"]
TESTS_SECONDS = 180
SURE = 0.3  # score of a detection that both must find; fainter ones come and go with the last digit
SEEN = 0.5  # confidence, or presence, of a point that both must place alike


class Check:
    """What is compared, with what it needs, made when first asked for.

    Args:
        device: as PyTorch calls it.
        quick: fewer pictures, shorter measures.
    """

    def __init__(self, device: str, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.failed = 0
        self.files = weight_files(choose("open"))

    @cached_property
    def frames(self) -> list[NDArray[np.uint8]]:
        """Pictures (720, 1280, 3) of the clip, a tenth of a second apart."""
        return [frame.image for frame in islice(read_frames(CLIP), 0, 12 if self.quick else 180, 3)]

    @cached_property
    def detectors(self) -> tuple[PersonDetector, PersonDetector]:
        """On the CPU, and on the device."""
        cpu, other = (PersonDetector(None, self.files["detector"], device) for device in ("cpu", self.device))
        return cpu, other

    @cached_property
    def crops(self) -> NDArray[np.uint8]:
        """(N, 256, 256, 3) of the people that the CPU finds."""
        cut = []
        for frame, (boxes, _) in zip(self.frames, self.detectors[0](self.frames), strict=True):
            boxes = boxes[boxes[:, 4] > SURE]
            side = (boxes[:, 2:4] - boxes[:, :2]).max(1, initial=1.0) * BlazePoseFeatures.crop_scale
            squares = np.column_stack([(boxes[:, :2] + boxes[:, 2:4]) / 2, np.broadcast_to(side, len(boxes))])
            cut.append(BlazePoseFeatures.extract(frame, squares, BlazePoseFeatures.crop_size))
        return np.concatenate(cut)

    def holds(self, name: str, error: float, bound: float, unit: str) -> None:
        """Print a comparison."""
        right = bool(error <= bound)  # not so for NaN
        self.failed += not right
        print(f"{'PASS' if right else 'FAIL'}  {name:<58} {error:10.4g}  <= {bound:g} {unit}", flush=True)


def detector(check: Check) -> None:
    cpu, other = (one(check.frames) for one in check.detectors)
    missed = people = 0
    box, point = [0.0], [0.0]
    for ours, theirs in zip(cpu, other, strict=True):
        rows = np.flatnonzero(ours.boxes[:, 4] > SURE)
        people += len(rows)
        for row in rows:
            apart = np.abs(theirs.boxes[:, :4] - ours.boxes[row, :4]).max(1, initial=0.0)
            if not len(apart) or apart.min() > 20:
                missed += 1
                continue
            same = int(apart.argmin())
            box.append(float(apart[same]))
            assert ours.keypoints is not None and theirs.keypoints is not None
            sure = ours.keypoints[row, :, 2] > SEEN
            point += np.abs(theirs.keypoints[same, sure, :2] - ours.keypoints[row, sure, :2]).max(-1).tolist()
    check.holds(f"detector: people missed, of {people}", missed, 0 if people else -1, "")
    check.holds("detector: boxes", max(box), 0.5, "px")
    check.holds("detector: keypoints", max(point), 1.0, "px")


def landmarks(check: Check) -> None:
    full, heavy = check.files["features"], check.files["blazepose-heavy"]
    for name, files in (("full", (full, None)), ("heavy", (heavy, None)), ("both", (full, heavy))):
        lean = np.linspace(-0.3, 0.3, len(check.crops)).astype(np.float32)
        features = [BlazePoseFeatures(*files, device)(check.crops, lean).cpu() for device in ("cpu", check.device)]
        ours, theirs = (unpack(feature) for feature in features)
        seen = ours.presence > SEEN
        rows = seen.any(-1)
        if name == "both":  # a look may be in doubt on one side only
            same = (features[0] - features[1]).abs().amax(-1) < 0.05
            rows &= same
            seen &= same[:, None]
            check.holds(f"landmarks, {name}: crops that were seen otherwise", 1 - float(same.float().mean()), 0.05, "")
        image = (ours.landmarks2d - theirs.landmarks2d).abs().amax(-1)[seen] * BlazePoseFeatures.crop_size / 2
        world = 1000 * (ours.world - theirs.world).abs().amax(-1)[rows]
        presence = (ours.presence - theirs.presence).abs()[rows]
        check.holds(f"landmarks, {name}: in the crop of 256 px", _greatest(image), 0.1, "px")
        check.holds(f"landmarks, {name}: in the world", _greatest(world), 1.0, "mm")
        check.holds(f"landmarks, {name}: presence", _greatest(presence), 0.005, "")


def _greatest(values: torch.Tensor) -> float:
    """NaN of none, for nothing was compared then."""
    return float(values.max()) if values.numel() else float("nan")


def spin(check: Check) -> None:
    torch.manual_seed(0)
    network = SpinNetwork().eval().fold().to(memory_format=torch.channels_last)
    crops = check.crops[: 4 if check.quick else 16, 16:240, 16:240]
    expected = SpinFeatures(network)(crops)
    found = SpinFeatures(network, check.device)(crops).cpu()
    check.holds("SPIN's network, random weights, of its range", _relative(found, expected), 1e-3, "")


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def glot(check: Check) -> None:
    """The shipped network, folded, over a track of the clip's own features."""
    cpu = BlazePoseFeatures(check.files["features"], None)
    features = cpu(check.crops)
    segment = torch.zeros(len(features), dtype=torch.long)
    states = [
        estimate(
            load_network(choose("open"), cpu.input_dim, device),
            features,
            segment,
            prepare=cpu.network_input,
            mirror=cpu.mirror,
        )
        for device in ("cpu", check.device)
    ]
    for name in ("pose6d", "shape", "camera"):
        ours, theirs = (getattr(state, name) for state in states)
        check.holds(f"GLoT, folded: {name}, of its range", _relative(theirs, ours), 2e-3, "")


def whole_run(check: Check) -> None:
    """Pictures are drawn where OpenGL is there; only the record is compared."""
    from glot_cli import Options, load_result, run

    results, reports = [], []
    with tempfile.TemporaryDirectory() as folder:
        for part, device in enumerate(("cpu", check.device)):
            drawn = part == 1 and not check.quick
            options = Options(device=device, end=1.0 if check.quick else None, render=drawn, frames=False, quiet=True)
            (outcome,) = run(CLIP, Path(folder) / str(part), options)
            results.append(load_result(outcome.folder))
            reports.append(json.loads((outcome.folder / "run.json").read_text()))
    places = [
        dict(zip(zip(r.frame.tolist(), r.person.tolist(), strict=True), r.joints3d, strict=True)) for r in results
    ]
    both = sorted(places[0].keys() & places[1].keys())
    alone = len(places[0].keys() ^ places[1].keys()) / max(len(places[0]), 1)
    check.holds("whole run: people in frames that one side alone has", alone, 0.01, "")
    if not both:
        return check.holds("whole run: joints", float("nan"), 0, "")
    first, second = (np.stack([place[key] for key in both]) for place in places)
    apart = 1000 * np.linalg.norm(first - second, axis=-1).mean(-1)  # mm, the mean over the joints of a row
    check.holds(f"whole run: joints before the camera, median of {len(both)}", float(np.median(apart)), 5.0, "mm")
    check.holds("whole run: joints before the camera, 99 of 100", float(np.quantile(apart, 0.99)), 30.0, "mm")
    first, second = (joints - joints[:, :1] for joints in (first, second))
    apart = 1000 * np.linalg.norm(first - second, axis=-1).mean(-1)
    check.holds("whole run: joints from the pelvis, 99 of 100", float(np.quantile(apart, 0.99)), 10.0, "mm")
    for device, report in zip(("cpu", check.device), reports, strict=True):
        print(f"      a whole run on {device}: {report['fps']:.1f} frames/s, models loaded in it")
        for stage, row in report["stages"].items():
            rate = f"{row['fps']:8.1f} frames/s" if "fps" in row else ""
            print(f"        {stage:<18} {row['seconds']:7.2f} s {rate}")
        if report["fault"]:
            print(f"        nothing drawn: {report['fault']}")


def suite(check: Check) -> None:
    """The suite's own tests on a device, in a process of their own."""
    if importlib.util.find_spec("pytest") is None:
        return print("      the suite's tests of a device: left out, pytest is not installed")
    kind = check.device.partition(":")[0]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", kind, "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TESTS_SECONDS,
        check=False,
    )
    print("".join(f"      {line}\n" for line in ended.stdout.splitlines()[-8:]), end="")
    check.holds(f"the suite's tests with '{kind}' in their names: exit status", ended.returncode, 0, "")


def speeds(check: Check) -> None:
    """Frames, crops and windows a second on the device, from pictures in memory to answers in memory."""
    seconds = 0.3 if check.quick else 2.0
    device, found = check.device, check.detectors[1]
    for size in (2, 4) if check.quick else (1, 4, 16, 32):
        batch = (check.frames * (size // len(check.frames) + 1))[:size]
        _speed(
            f"detector, {size} frames of 1280x720 at once", size, "frames", seconds, lambda batch=batch: found(batch)
        )
    full, heavy = check.files["features"], check.files["blazepose-heavy"]
    sizes = (4,) if check.quick else (16, 128)
    for name, files in (("full", (full, None)), ("heavy", (heavy, None)), ("both", (full, heavy))):
        network = BlazePoseFeatures(*files, device)
        for size in sizes:
            crops = np.resize(check.crops, (size, 256, 256, 3))
            _speed(
                f"landmarks, {name}, {size} crops at once",
                size,
                "crops",
                seconds,
                lambda n=network, c=crops: n(c).cpu(),
            )
    spin_network = SpinNetwork().eval().fold().to(memory_format=torch.channels_last)
    for half in () if check.quick else (False, True):
        features = SpinFeatures(spin_network, device, half=half)
        crops = np.resize(check.crops, (128, 224, 224, 3))
        kind = ", half precision" if half else ""
        _speed(
            f"SPIN's network{kind}, 128 crops at once", 128, "crops", seconds, lambda f=features, c=crops: f(c).cpu()
        )
    blazepose = BlazePoseFeatures(full, None)
    network, track = (
        load_network(choose("open"), blazepose.input_dim, device),
        blazepose(check.crops[:1]).repeat(512, 1),
    )
    segment = torch.zeros(len(track), dtype=torch.long)
    prepare = blazepose.network_input
    _speed("GLoT, one side", len(track), "frames", seconds, lambda: estimate(network, track, segment, prepare=prepare))


def _speed(name: str, count: int, unit: str, seconds: float, work: Callable[[], object]) -> None:
    for _ in range(3):  # kernels are chosen, memory is taken
        work()
    begin, times = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        work()
        times += 1
    print(f"      {name:<58} {times * count / (time.perf_counter() - begin):10.1f} {unit}/s", flush=True)


@contextmanager
def single_precision(exact: bool) -> Iterator[None]:
    """Comparisons want all 24 bits; CUDA's convolutions take 11 (TF32) unless they are told."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    if exact:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


PARTS: tuple[tuple[Callable[[Check], None], bool], ...] = (  # and whether it is compared in full single precision
    (detector, True),
    (landmarks, True),
    (spin, True),
    (glot, True),
    (whole_run, False),
    (speeds, False),
    (suite, False),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=None, help="cuda, cuda:1, mps or cpu; the GPU that is there if left out")
    parser.add_argument("--seconds", type=float, default=420.0, help="after which nothing more is begun")
    arguments = parser.parse_args()
    there = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    device = arguments.device or (there[0] if there else "none")
    if device != "cpu" and device.partition(":")[0] not in there:
        print(
            f"NO DEVICE: torch {torch.__version__} sees {', '.join(there) or 'neither CUDA nor MPS'}; nothing checked"
        )
        return 2
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads", flush=True)
    begin = time.perf_counter()
    check = Check(device, quick=device == "cpu")
    for part, exact in PARTS:
        if part is suite and check.quick:
            continue
        since = time.perf_counter() - begin
        if since > arguments.seconds:
            print(f"      {part.__name__}: left out, {since:.0f} s have gone by")
            continue
        try:
            with single_precision(exact):
                part(check)
        except ImportError as error:
            print(f"      {part.__name__}: left out, {error.name or error} is not installed", flush=True)
        except Exception as error:  # what one part meets must not hide the others
            traceback.print_exc(file=sys.stdout)
            print(f"FAIL  {part.__name__}: {type(error).__name__}", flush=True)
            check.failed += 1
        print(f"      [{time.perf_counter() - begin:.0f} s]", flush=True)
    print(f"FAILED: {check.failed}" if check.failed else "ALL PASS")
    return int(check.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
