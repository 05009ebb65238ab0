"""What the drawing process draws: where, in which order, in which colour; and how it behaves when things go wrong."""

from __future__ import annotations

import colorsys
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh

from glot_cli.errors import GlotError
from glot_cli.rendering import Renderer, client, probe_backend
from glot_cli.rendering.colours import person_colour

WIDTH, HEIGHT, FOCAL = 321, 241, 400.0  # odd, so that a half-pixel error in the centre would show
SPHERE = trimesh.creation.icosphere(subdivisions=3)
ROOT = Path(__file__).parents[2]


def ball(x: float, y: float, z: float, radius: float = 0.1) -> np.ndarray:
    return (SPHERE.vertices * radius + [x, y, z]).astype(np.float32)


def grey(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


@pytest.fixture(scope="module")
def backend() -> str:
    try:
        return probe_backend()
    except GlotError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def overlay(backend: str) -> Iterator[Renderer]:
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, backend=backend) as renderer:
        yield renderer


def coverage(renderer: Renderer, *people: np.ndarray) -> np.ndarray:
    """(H, W) share of each pixel that is drawn on: what a white frame keeps and a black one does not is the frame."""
    ids = np.zeros(len(people), dtype=int)
    white = renderer.draw(grey(255), np.stack(people), ids).astype(float)
    black = renderer.draw(grey(0), np.stack(people), ids).astype(float)
    return 1 - (white - black).mean(axis=2) / 255


def centroid(weights: np.ndarray) -> tuple[float, float]:
    """(x, y) in pixels, pixel i's centre being at i + 0.5."""
    y, x = np.indices(weights.shape) + 0.5
    return float((x * weights).sum() / weights.sum()), float((y * weights).sum() / weights.sum())


def hue(colour: np.ndarray) -> float:
    return colorsys.rgb_to_hsv(*(np.asarray(colour, float) / 255))[0]


@pytest.mark.parametrize("point", [(0.0, 0.0, 3.0), (0.71, -0.42, 3.0), (-1.1, 0.62, 4.5), (0.3, 0.9, 6.1)])
def test_a_ball_lands_where_the_pinhole_says(overlay: Renderer, point: tuple[float, float, float]) -> None:
    x, y, z = point
    covered = coverage(overlay, ball(x, y, z, 0.05))
    found = centroid(covered)
    assert found == pytest.approx((FOCAL * x / z + WIDTH / 2, FOCAL * y / z + HEIGHT / 2), abs=0.1)
    # A ball's outline is the cone that touches it: radius f r / sqrt(z^2 - r^2) on the axis.
    if x == y == 0:
        assert np.sqrt(covered.sum() / np.pi) == pytest.approx(FOCAL * 0.05 / np.sqrt(9 - 0.05**2), abs=0.15)


def test_edges_are_anti_aliased_and_the_rest_is_untouched(overlay: Renderer) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    before = frame.copy()
    covered = coverage(overlay, ball(0, 0, 3, 0.4))
    partial = (covered > 0.1) & (covered < 0.9)
    assert 100 < partial.sum() < 600  # about one ring of pixels around a disc of radius 54
    drawn = overlay.draw(frame, ball(0, 0, 3, 0.4)[None], [0])
    assert np.array_equal(drawn[covered == 0], before[covered == 0])
    assert np.array_equal(frame, before)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_who_stands_in_front_is_seen(overlay: Renderer, order: tuple[int, int]) -> None:
    people = np.stack([ball(0, 0, 3.0, 0.2), ball(0.02, 0, 3.5, 0.4)])[list(order)]
    picture = overlay.draw(grey(90), people, np.array([1, 4])[list(order)])
    assert hue(picture[HEIGHT // 2, WIDTH // 2]) == pytest.approx(hue(person_colour(1)), abs=0.02)
    assert hue(picture[HEIGHT // 2, WIDTH // 2 + 38]) == pytest.approx(hue(person_colour(4)), abs=0.02)


def test_bodies_that_meet_are_cut_by_depth(overlay: Renderer) -> None:
    """Two balls side by side at one depth share the border half way between them, in whichever order they come."""
    people = np.stack([ball(-0.1, 0, 3, 0.25), ball(0.1, 0, 3, 0.25)])
    row = overlay.draw(grey(90), people, [0, 1])[HEIGHT // 2]
    hues = np.array([hue(pixel) for pixel in row[WIDTH // 2 - 20 : WIDTH // 2 + 21]])
    left = np.abs(hues - hue(person_colour(0))) < 0.03
    right = np.abs(hues - hue(person_colour(1))) < 0.03
    assert left[:19].all() and right[-19:].all()


def test_colour_follows_the_id(overlay: Renderer) -> None:
    for person in (0, 3, 6, 7, 23):
        picture = overlay.draw(grey(90), ball(0, 0, 3, 0.3)[None], [person])
        found, wanted = picture[HEIGHT // 2, WIDTH // 2].astype(float), np.array(person_colour(person))
        assert found / found.max() == pytest.approx(wanted / wanted.max(), abs=0.1)  # light changes brightness alone


def test_nobody_and_the_unseen_change_nothing(overlay: Renderer) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    assert np.array_equal(overlay.draw(frame, np.zeros((0, len(SPHERE.vertices), 3)), []), frame)
    for place in ((0, 0, -3), (50, 0, 3), (0, -40, 3)):
        assert np.array_equal(overlay.draw(frame, ball(*place)[None], [0]), frame)
    # Someone who leaves must not stay in the picture.
    both = overlay.draw(frame, np.stack([ball(-0.5, 0, 3), ball(0.5, 0, 3)]), [0, 1])
    alone = overlay.draw(frame, ball(-0.5, 0, 3)[None], [0])
    assert np.array_equal(both[:, : WIDTH // 2], alone[:, : WIDTH // 2])
    assert np.array_equal(alone[:, WIDTH // 2 :], frame[:, WIDTH // 2 :])


def test_cut_by_the_picture_and_by_the_camera(overlay: Renderer) -> None:
    half = coverage(overlay, ball(-WIDTH / 2 / FOCAL * 3, 0, 3, 0.2))
    assert half.sum() == pytest.approx(np.pi / 2 * (FOCAL * 0.2 / 3) ** 2, rel=0.05)
    around = overlay.draw(grey(90), ball(0.3, 0, 0.0, 0.5)[None], [0])  # the camera stands inside the ball
    assert around.shape == (HEIGHT, WIDTH, 3)
    behind = np.stack([ball(0, 0, 3, 0.2), ball(0, 0, -2, 0.2)])
    assert np.array_equal(coverage(overlay, *behind), coverage(overlay, behind[0]))


def test_frames_come_back_in_order(overlay: Renderer) -> None:
    levels = list(range(10, 90, 7))
    people = [ball(0.1 * i - 0.5, 0, 3)[None] for i in range(len(levels))]
    drawings = ((grey(level), who, np.array([0])) for level, who in zip(levels, people, strict=True))
    pictures = list(overlay.draw_many(drawings))
    assert [int(picture[0, 0, 0]) for picture in pictures] == levels
    for level, who, picture in zip(levels, people, pictures, strict=True):
        assert np.array_equal(picture, overlay.draw(grey(level), who, np.array([0])))


def test_wrong_arguments_are_refused(overlay: Renderer) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        overlay.submit(np.zeros((4, 4, 3), np.uint8), ball(0, 0, 3)[None], [0])
    with pytest.raises(ValueError, match="ids"):
        overlay.submit(grey(0), ball(0, 0, 3)[None], [0, 1])
    with pytest.raises(ValueError, match="finite"):
        overlay.submit(grey(0), ball(0, 0, np.nan)[None], [0])
    with pytest.raises(ValueError, match="no frame"):
        overlay.collect()


def test_side_view_shows_depth(backend: str) -> None:
    """The blue ball is in front and left of the orange one: from the side it is to the left and behind it."""
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, "side", backend) as renderer:
        people = np.stack([ball(-0.2, 0, 3.7), ball(0.2, 0, 4.3)])
        picture = renderer.draw(grey(90), people, [0, 1])
        steady = renderer.draw(grey(90), people, [0, 1], pivot=np.array([0.0, 0.0, 4.3]))
    assert picture.shape == (HEIGHT, WIDTH + HEIGHT, 3)
    panel = picture[:, WIDTH:].astype(int)
    blue = centroid((panel[..., 2] - panel[..., 0] > 40).astype(float))
    orange = centroid((panel[..., 0] - panel[..., 2] > 40).astype(float))
    # The panel's centre looks at (0, 0, 4) from x = +4: blue is 4.2 m off, orange 3.8 m.
    assert blue == pytest.approx((HEIGHT / 2 - FOCAL * 0.3 / 4.2, HEIGHT / 2), abs=0.5)
    assert orange == pytest.approx((HEIGHT / 2 + FOCAL * 0.3 / 3.8, HEIGHT / 2), abs=0.5)
    turned = steady[:, WIDTH:].astype(int)
    assert centroid((turned[..., 0] - turned[..., 2] > 40).astype(float))[0] == pytest.approx(HEIGHT / 2, abs=0.5)


def test_plain_hides_the_frame(backend: str) -> None:
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, "plain", backend) as renderer:
        pictures = [renderer.draw(grey(level), ball(0, 0, 3)[None], [1]) for level in (0, 200)]
    assert np.array_equal(*pictures)
    assert len(np.unique(pictures[0][:20].reshape(-1, 3), axis=0)) == 1


def test_wireframe_lets_the_frame_through_but_not_the_back(backend: str) -> None:
    cube = trimesh.creation.box((1, 1, 1))
    with Renderer(cube.faces, WIDTH, HEIGHT, FOCAL, "wireframe", backend) as renderer:
        covered = coverage(renderer, (cube.vertices + np.array([0, 0, 3])).astype(np.float32))
    # The front face is 400 * 1 / 2.5 = 160 pixels wide; of the cube only that face's sides and diagonal are seen.
    front = 160
    assert 0.7 * front * (4 + 2**0.5) < covered.sum() < 1.6 * front * (4 + 2**0.5)
    inner = covered[HEIGHT // 2 - 70 : HEIGHT // 2 + 70, WIDTH // 2 - 70 : WIDTH // 2 + 70]
    assert 0.7 * 140 * 2**0.5 < inner.sum() < 1.6 * 140 * 2**0.5  # nothing but the diagonal


def test_software_library_draws_what_the_driver_draws() -> None:
    """OSMesa, the fallback, gives EGL's picture."""
    pictures = []
    for name in ("egl", "osmesa"):
        try:
            with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, backend=name) as renderer:
                pictures.append(renderer.draw(grey(60), ball(0.2, 0, 3, 0.5)[None], [1]).astype(int))
        except GlotError as error:
            pytest.skip(f"{name} is not on this machine: {error}")
    assert (pictures[0] != 60).any(-1).mean() > 0.05
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.1


def test_no_backend_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    create = client.create_frame_file
    monkeypatch.setattr(client, "create_frame_file", lambda size: made.append(create(size)) or made[-1])
    monkeypatch.setattr(client, "backends", lambda: ("egl", "osmesa"))
    monkeypatch.setattr(
        client, "_BOOTSTRAP", "import os; os.environ['PYOPENGL_PLATFORM'] += '-missing'; " + client._BOOTSTRAP
    )
    with pytest.raises(GlotError) as caught:
        probe_backend()
    message = str(caught.value)
    assert "egl:" in message and "osmesa:" in message and "apt-get install" in message and "--no-render" in message
    assert "\n" not in message
    assert made and not any(path.exists() for path in made)


def test_a_worker_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_BOOTSTRAP", "import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(GlotError, match="SIGKILL"):
        Renderer(SPHERE.faces, 64, 64, 64.0, backend="egl", timeout=0.5)
    assert time.monotonic() - began < 10


def test_death_of_the_worker_is_a_clear_error(backend: str) -> None:
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, backend=backend) as renderer:
        renderer.draw(grey(0), ball(0, 0, 3)[None], [0])
        renderer._worker._process.kill()
        with pytest.raises(GlotError, match="drawing process is gone"):
            for _ in range(3):
                renderer.draw(grey(0), ball(0, 0, 3)[None], [0])


PARENT = """
import signal, sys, numpy as np
from glot_cli.rendering import Renderer
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells have ignored in what they start aside
    with Renderer(np.array([[0, 1, 2]]), 64, 64, 64.0, backend=sys.argv[1]) as renderer:
        print(renderer._worker._process.pid, flush=True)
        triangle = np.array([[[0, 0, 3], [0, 1, 3], [1, 0, 3]]], dtype=np.float32)
        while True:
            renderer.draw(np.zeros((64, 64, 3), np.uint8), triangle, [0])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals and process groups")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_the_worker_ends_with_its_parent(backend: str, blow: signal.Signals) -> None:
    """Ctrl-C reaches both processes at once; a killed parent can say nothing. Neither leaves a process behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    assert parent.stdout is not None and parent.stderr is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.3)
    if blow == signal.SIGINT:
        os.killpg(parent.pid, blow)
        assert b"KeyboardInterrupt" in parent.stderr.read()
    else:
        parent.kill()
    parent.wait(10)
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        # In a container nobody may reap an orphan: a zombie is as good as gone.
        status = Path(f"/proc/{worker}/stat")
        if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the drawing process outlived its parent")
    parent.stdout.close()
    parent.stderr.close()


def test_triton_may_be_imported_before_and_after_drawing(backend: str) -> None:
    """Two LLVMs in one process would end it with a segmentation fault: drawing must be elsewhere."""
    pytest.importorskip("triton")
    program = """
import sys, numpy as np
from glot_cli.rendering import Renderer
triangle = np.array([[[0, 0, 3], [0, 1, 3], [1, 0, 3]]], dtype=np.float32)
def draw():
    with Renderer(np.array([[0, 2, 1], [0, 1, 2]]), 64, 64, 64.0, backend=sys.argv[1]) as renderer:
        return renderer.draw(np.zeros((64, 64, 3), np.uint8), triangle, [0])
first = draw()
assert "triton" not in sys.modules and "OpenGL" not in sys.modules and "torch" not in sys.modules
import triton._C.libtriton
assert first.any() and (draw() == first).all()
"""
    done = subprocess.run([sys.executable, "-c", program, backend], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_drawing_process_never_loads_torch(backend: str) -> None:
    program = (
        "import sys, glot_cli.rendering.worker, glot_cli.rendering.painter\n"
        "print({'torch', 'triton'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYOPENGL_PLATFORM": backend}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "set()", done.stderr
