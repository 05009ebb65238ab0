"""What the drawing process draws: where, in which order, in which colour."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import numpy as np
import pytest
import trimesh

from glot_cli.errors import RenderError
from glot_cli.rendering import Renderer
from glot_cli.rendering.colours import person_colour
from glot_cli.video.planes import FrameConverter, planes_shape, split_planes, to_frame

WIDTH, HEIGHT, FOCAL = 321, 241, 400.0  # odd, so that a half-pixel error in the centre would show
SPHERE = trimesh.creation.icosphere(subdivisions=3)


def ball(x: float, y: float, z: float, radius: float = 0.1) -> np.ndarray:
    return (SPHERE.vertices * radius + [x, y, z]).astype(np.float32)


def grey(level: int) -> np.ndarray:
    """Planes of one grey, whose brightness is `level`."""
    planes = np.full(planes_shape(WIDTH, HEIGHT), 128, np.uint8)
    split_planes(planes)[0][:] = level
    return planes


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, planes_shape(WIDTH, HEIGHT), dtype=np.uint8)


def rgb(planes: np.ndarray) -> np.ndarray:
    return FrameConverter().rgb(to_frame(planes))


@pytest.fixture(scope="module")
def overlay(drawable: str) -> Iterator[Renderer]:
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, backend=drawable) as renderer:
        yield renderer


def coverage(renderer: Renderer, *people: np.ndarray) -> np.ndarray:
    """(H, W) share of each pixel that is drawn on: what a bright frame keeps and a dark one does not is the frame."""
    ids = np.zeros(len(people), dtype=int)
    white, black = (split_planes(renderer.draw(grey(level), np.stack(people), ids))[0] for level in (255, 0))
    return 1 - (white.astype(float) - black) / 255


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
    frame, before = noise(0), noise(0)
    covered = coverage(overlay, ball(0, 0, 3, 0.4))
    partial = (covered > 0.1) & (covered < 0.9)
    assert 100 < partial.sum() < 600  # about one ring of pixels around a disc of radius 54
    drawn = overlay.draw(frame, ball(0, 0, 3, 0.4)[None], [0])
    small = covered.reshape(covered.shape[0] // 2, 2, covered.shape[1] // 2, 2).max(axis=(1, 3))
    for new, old, share in zip(split_planes(drawn), split_planes(before), (covered, small, small), strict=True):
        assert np.array_equal(new[share == 0], old[share == 0])
        assert (new[share == 1] != old[share == 1]).mean() > 0.9
    assert np.array_equal(frame, before)


def test_outlines_are_soft_in_large_pictures_too(drawable: str) -> None:
    """Software draws those with one sample a pixel; coverage and colour are then softened together."""
    width, height = 3840, 200
    frame = np.full(planes_shape(width, height), 128, np.uint8)
    y = split_planes(frame)[0]
    with Renderer(SPHERE.faces, width, height, FOCAL, backend=drawable) as renderer:
        pictures = []
        for level in (255, 0):
            y[:] = level
            pictures.append(split_planes(renderer.draw(frame, ball(0, 0, 3, 0.4)[None], [0]))[0].astype(float))
    white, black = pictures
    covered = 1 - (white - black) / 255
    assert centroid(covered) == pytest.approx((width / 2, height / 2), abs=0.3)
    assert np.sqrt(covered.sum() / np.pi) == pytest.approx(FOCAL * 0.4 / np.sqrt(9 - 0.4**2), abs=0.3)
    assert 200 < ((covered > 0.05) & (covered < 0.95)).sum() < 1200
    # No rim darker or brighter than the ball: colour is as wide as its coverage.
    inside = black[covered > 0.99]
    rim = (covered > 0.3) & (covered < 0.7)
    assert inside.min() - 8 < (black[rim] / covered[rim]).min() and (black[rim] / covered[rim]).max() < inside.max() + 8


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_who_stands_in_front_is_seen(overlay: Renderer, order: tuple[int, int]) -> None:
    people = np.stack([ball(0, 0, 3.0, 0.2), ball(0.02, 0, 3.5, 0.4)])[list(order)]
    picture = rgb(overlay.draw(grey(90), people, np.array([1, 4])[list(order)]))
    assert hue(picture[HEIGHT // 2, WIDTH // 2]) == pytest.approx(hue(person_colour(1)), abs=0.02)
    assert hue(picture[HEIGHT // 2, WIDTH // 2 + 38]) == pytest.approx(hue(person_colour(4)), abs=0.02)


def test_bodies_that_meet_are_cut_by_depth(overlay: Renderer) -> None:
    """Two balls side by side at one depth share the border half way between them, in whichever order they come."""
    people = np.stack([ball(-0.1, 0, 3, 0.25), ball(0.1, 0, 3, 0.25)])
    row = rgb(overlay.draw(grey(90), people, [0, 1]))[HEIGHT // 2]
    hues = np.array([hue(pixel) for pixel in row[WIDTH // 2 - 20 : WIDTH // 2 + 21]])
    left = np.abs(hues - hue(person_colour(0))) < 0.03
    right = np.abs(hues - hue(person_colour(1))) < 0.03
    assert left[:19].all() and right[-19:].all()


def test_colour_follows_the_id(overlay: Renderer) -> None:
    for person in (0, 3, 6, 7, 23):
        picture = rgb(overlay.draw(grey(90), ball(0, 0, 3, 0.3)[None], [person]))
        found, wanted = picture[HEIGHT // 2, WIDTH // 2].astype(float), np.array(person_colour(person))
        assert found / found.max() == pytest.approx(wanted / wanted.max(), abs=0.1)  # light changes brightness alone


def test_nobody_and_the_unseen_change_nothing(overlay: Renderer) -> None:
    frame = noise(1)
    assert np.array_equal(overlay.draw(frame, np.zeros((0, len(SPHERE.vertices), 3)), []), frame)
    for place in ((0, 0, -3), (50, 0, 3), (0, -40, 3)):
        assert np.array_equal(overlay.draw(frame, ball(*place)[None], [0]), frame)
    # Someone who leaves must not stay in the picture.
    both = overlay.draw(frame, np.stack([ball(-0.5, 0, 3), ball(0.5, 0, 3)]), [0, 1])
    alone = overlay.draw(frame, ball(-0.5, 0, 3)[None], [0])
    for two, one, none in zip(split_planes(both), split_planes(alone), split_planes(frame), strict=True):
        middle = one.shape[1] // 2
        assert np.array_equal(two[:, :middle], one[:, :middle])
        assert np.array_equal(one[:, middle:], none[:, middle:])


def test_cut_by_the_picture_and_by_the_camera(overlay: Renderer) -> None:
    half = coverage(overlay, ball(-WIDTH / 2 / FOCAL * 3, 0, 3, 0.2))
    assert half.sum() == pytest.approx(np.pi / 2 * (FOCAL * 0.2 / 3) ** 2, rel=0.05)
    around = overlay.draw(grey(90), ball(0.3, 0, 0.0, 0.5)[None], [0])  # the camera stands inside the ball
    assert around.shape == planes_shape(WIDTH, HEIGHT)
    behind = np.stack([ball(0, 0, 3, 0.2), ball(0, 0, -2, 0.2)])
    assert np.array_equal(coverage(overlay, *behind), coverage(overlay, behind[0]))


def test_frames_come_back_in_order(overlay: Renderer) -> None:
    levels = list(range(10, 90, 7))
    people = [ball(0.1 * i - 0.5, 0, 3)[None] for i in range(len(levels))]
    pictures = []
    for level, who in zip(levels, people, strict=True):
        if overlay.pending == 3:  # as many as may be under way
            pictures.append(overlay.collect().copy())
        overlay.submit(grey(level), who, np.array([0]))
    with pytest.raises(ValueError, match="3 frames are under way"):
        overlay.submit(grey(0), people[0], np.array([0]))
    while overlay.pending:
        pictures.append(overlay.collect().copy())
    assert [int(picture[0, 0]) for picture in pictures] == levels
    for level, who, picture in zip(levels, people, pictures, strict=True):
        assert np.array_equal(picture, overlay.draw(grey(level), who, np.array([0])))


def test_wrong_arguments_are_refused(overlay: Renderer) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        overlay.submit(np.zeros((HEIGHT, WIDTH, 3), np.uint8), ball(0, 0, 3)[None], [0])
    with pytest.raises(ValueError, match="ids"):
        overlay.submit(grey(0), ball(0, 0, 3)[None], [0, 1])
    with pytest.raises(ValueError, match="finite"):
        overlay.submit(grey(0), ball(0, 0, np.nan)[None], [0])
    with pytest.raises(ValueError, match="no frame"):
        overlay.collect()


def test_side_view_shows_depth(drawable: str) -> None:
    """The blue ball is in front and left of the orange one: from the side it is to the left and behind it."""
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, "side", drawable) as renderer:
        people = np.stack([ball(-0.2, 0, 3.7), ball(0.2, 0, 4.3)])
        picture = rgb(renderer.draw(grey(90), people, [0, 1]))
        steady = rgb(renderer.draw(grey(90), people, [0, 1], pivot=np.array([0.0, 0.0, 4.3])))
    width, height = WIDTH + 1, HEIGHT + 1  # even, as H.264 wants them
    assert picture.shape == (height, width + height, 3)
    panel = picture[:, width:].astype(int)
    blue = centroid((panel[..., 2] - panel[..., 0] > 40).astype(float))
    orange = centroid((panel[..., 0] - panel[..., 2] > 40).astype(float))
    # The panel's centre looks at (0, 0, 4) from x = +4: blue is 4.2 m off, orange 3.8 m.
    assert blue == pytest.approx((height / 2 - FOCAL * 0.3 / 4.2, height / 2), abs=0.5)
    assert orange == pytest.approx((height / 2 + FOCAL * 0.3 / 3.8, height / 2), abs=0.5)
    turned = steady[:, width:].astype(int)
    assert centroid((turned[..., 0] - turned[..., 2] > 40).astype(float))[0] == pytest.approx(height / 2, abs=0.5)


def test_plain_hides_the_frame(drawable: str) -> None:
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, "plain", drawable) as renderer:
        pictures = [renderer.draw(grey(level), ball(0, 0, 3)[None], [1]) for level in (0, 200)]
    assert np.array_equal(*pictures)
    assert len(np.unique(rgb(pictures[0])[:20].reshape(-1, 3), axis=0)) == 1


def test_wireframe_lets_the_frame_through_but_not_the_back(drawable: str) -> None:
    cube = trimesh.creation.box((1, 1, 1))
    with Renderer(cube.faces, WIDTH, HEIGHT, FOCAL, "wireframe", drawable) as renderer:
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
                pictures.append(rgb(renderer.draw(grey(60), ball(0.2, 0, 3, 0.5)[None], [1])).astype(int))
        except RenderError as error:
            pytest.skip(f"{name} is not on this machine: {error}")
    assert (np.abs(pictures[0] - pictures[0][0, 0]) > 20).any(-1).mean() > 0.05
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.1
