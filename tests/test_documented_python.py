"""Every Python example of the documents runs: in one folder, on the results of one short run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli import load_result
from tests.documents import PAGES, ROOT, fenced, section, tables

(FIRST,) = fenced("README.md", "python")
BLOCKS = {f"{page}-{number}": code for page in PAGES for number, code in enumerate(fenced(page, "python"), start=1)}


def execute(code: str, page: str) -> dict[str, Any]:
    """The names that a block leaves behind."""
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    return names


@pytest.fixture(scope="module", autouse=True)
def workplace(tmp_path_factory: pytest.TempPathFactory, load_once: None) -> Iterator[Path]:
    """A folder with the examples and, as `first_second/clip`, what the README makes of them; the current one."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "examples").symlink_to(ROOT / "examples")
    before = Path.cwd()
    os.chdir(folder)
    try:
        execute(FIRST, "README.md")
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def report(workplace: Path) -> dict[str, Any]:
    """The run.json of that run."""
    held: dict[str, Any] = json.loads((workplace / "first_second" / "clip" / "run.json").read_text("utf-8"))
    return held


def test_the_readme_finds_somebody(workplace: Path) -> None:
    assert load_result(workplace / "first_second" / "clip").people


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_run(block: str, workplace: Path, report: dict[str, Any]) -> None:
    draws = "render(" in BLOCKS[block]
    if draws and report["renderer"] is None:
        pytest.skip(report["fault"])
    execute(BLOCKS[block], block)
    assert not draws or (workplace / "first_second" / "side.mp4").stat().st_size > 0


def test_bodies_lie_where_the_record_says() -> None:
    (code,) = (code for code in fenced("docs/python.md", "python") if "surface =" in code)
    names = execute(code, "docs/python.md")
    result, bodies, surface = names["result"], names["bodies"], names["surface"]
    assert np.abs(bodies.pixels - result.joints2d).max() < 0.1  # pixels
    inside = (surface > 0) & (surface < [result.meta.width, result.meta.height])
    assert inside.all(-1).mean() > 0.5, "bodies lie in the picture"


def test_the_report_has_the_documented_keys(report: dict[str, Any]) -> None:
    (rows,) = tables(section("docs/record.md", "The other files"))
    documented = {name.strip(" `") for row in rows for name in row[0].split(",")}
    assert documented == set(report)
