"""Every Python example of the documents runs: in one folder, on the results of one short run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.errors import GlotError
from glot_cli.rendering import probe_backend
from tests.documents import PAGES, ROOT, fenced, section, tables

BLOCKS = [(page, number, code) for page in PAGES for number, code in enumerate(fenced(page, "python"))]
FIRST = BLOCKS[0] if BLOCKS[0][0] == "README.md" else next(block for block in BLOCKS if block[0] == "README.md")


def execute(page: str, code: str) -> dict[str, Any]:
    """The names that a block leaves behind."""
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def first() -> dict[str, Any]:
    """What the README's first example leaves behind."""
    return {}


@pytest.fixture(scope="module", autouse=True)
def workplace(tmp_path_factory: pytest.TempPathFactory, first: dict[str, Any]) -> Iterator[Path]:
    """A folder with the examples and, as `result/clip`, what the README's first example makes of them."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "examples").symlink_to(ROOT / "examples")
    before = Path.cwd()
    os.chdir(folder)
    try:
        first.update(execute(FIRST[0], FIRST[2]))
        yield folder
    finally:
        os.chdir(before)


def test_the_readme_s_example_finds_somebody(first: dict[str, Any], workplace: Path) -> None:
    assert first["result"].people and len(first["result"]) > 0
    assert (workplace / "result" / "clip" / "params.npz").is_file()


@pytest.mark.parametrize(
    ("page", "code"), [(page, code) for page, number, code in BLOCKS], ids=[f"{p}-{n}" for p, n, _ in BLOCKS]
)
def test_examples_run(page: str, code: str) -> None:
    if "render(" in code:
        try:
            probe_backend()
        except GlotError as error:
            pytest.skip(str(error))
    execute(page, code)


def test_bodies_lie_where_the_record_says() -> None:
    (code,) = (code for code in fenced("docs/python.md", "python") if "surface =" in code)
    names = execute("docs/python.md", code)
    result, bodies, surface = names["result"], names["bodies"], names["surface"]
    assert np.abs(bodies.pixels - result.joints2d).max() < 0.1  # pixels
    inside = (surface > 0) & (surface < [result.meta.width, result.meta.height])
    assert inside.all(-1).mean() > 0.5, "bodies lie in the picture"


def test_drawing_again_makes_a_picture(workplace: Path) -> None:
    if not (workplace / "result" / "side.mp4").exists():
        pytest.skip("nothing draws here")
    assert (workplace / "result" / "side.mp4").stat().st_size > 0


def test_the_report_has_the_documented_keys(workplace: Path) -> None:
    report = json.loads((workplace / "result" / "clip" / "run.json").read_text("utf-8"))
    rows = tables(section("docs/record.md", "The other files"))[0]
    documented = {name.strip(" `") for row in rows for name in row[0].split(",")}
    assert documented == set(report)
