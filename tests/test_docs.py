"""What the documents promise is so: keys, hashes, names, links, licences."""

import ast
import importlib.util
import itertools
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import glot_cli
from glot_cli import weights
from glot_cli.schema import CAMERA_FIELDS, FIELDS, FORMAT_VERSION, Meta
from glot_cli.smpl import SMPL_JOINTS, SMPL_PARENTS
from glot_cli.training.config import CONFIGS, find_config, load_config
from tests.documents import PAGES, ROOT, anchors, code_spans, fenced, links, section, tables

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def script(path: str) -> ModuleType:
    """A script below weights/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / "weights" / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(cell: str) -> list[str]:
    """The names between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


# README ---------------------------------------------------------------------------------------------------------------


def test_readme_is_short_and_keeps_its_two_commands() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150
    start = "python -m venv v && . v/bin/activate && pip install . && glot run examples/clip.mp4 --out result/"
    assert f"\n    {start}\n" in section("README.md", "Start")
    assert '\n    python -m venv v && . v/bin/activate && pip install ".[test]" && pytest\n' in section(
        "README.md", "Tests"
    )


# Record ---------------------------------------------------------------------------------------------------------------


def test_every_key_stands_there_with_type_shape_unit_and_frame() -> None:
    for heading, schema, count in (("Rows", FIELDS, "M"), ("Cameras", CAMERA_FIELDS, "F")):
        (rows,) = tables(section("docs/record.md", heading))
        listed = {
            key.strip("`"): (kind, tuple(part.strip() for part in shape.strip("()").split(",") if part.strip()), *more)
            for key, kind, shape, *more, _ in rows
        }
        assert listed.pop("meta", None) == (("text", (), "", "") if schema is FIELDS else None)
        assert listed == {name: (f.dtype, (count, *map(str, f.row)), f.unit, f.frame) for name, f in schema.items()}
        assert list(listed) == list(schema)


def test_everything_in_meta_stands_there_with_its_type() -> None:
    (rows,) = tables(section("docs/record.md", "meta"))
    listed = {name: kind for keys, kind, _ in rows for name in names(keys)}
    assert listed == {f.name: str(f.type).split("[")[0] for f in fields(Meta)}
    assert f"of the record: {FORMAT_VERSION}" in section("docs/record.md", "meta")


def test_joints_stand_there_in_order_with_their_parents() -> None:
    (block,) = (b for b in fenced("docs/record.md", "text") if "pelvis" in b)
    found = sorted((int(n), name, int(parent)) for n, name, parent in re.findall(r"(\d+) (\w+) (-?\d+)", block))
    assert found == [(n, name, SMPL_PARENTS[n]) for n, name in enumerate(SMPL_JOINTS)]


# Python ---------------------------------------------------------------------------------------------------------------


def test_outcome_and_errors_are_complete() -> None:
    (outcome,) = tables(section("docs/python.md", "Running"))
    assert [name for row in outcome for name in names(row[0])] == [f.name for f in fields(glot_cli.Outcome)]
    (errors,) = tables(section("docs/python.md", "Errors"))
    public = (getattr(glot_cli, name) for name in glot_cli.__all__)
    kinds = {e.__name__ for e in public if isinstance(e, type) and issubclass(e, glot_cli.GlotError)}
    assert {name for row in errors for name in names(row[0])} == kinds - {"GlotError"}


def test_everything_public_is_shown() -> None:
    public = set(glot_cli.__all__) - {"__version__"}
    assert {name for name in public if not re.search(rf"\b{name}\b", PAGES["docs/python.md"])} == set()


# Weights and licences -------------------------------------------------------------------------------------------------


def test_weights_readme_has_the_table_of_the_manifest() -> None:
    text = PAGES["weights/README.md"]
    module = script("recipes/make_manifest.py")
    remedy = "run python weights/recipes/make_manifest.py"
    assert module.table(list(weights.manifest().values())) in text, remedy
    assert module.describe(ROOT / "weights") == list(weights.manifest().values()), remedy
    assert module.with_table(text, list(weights.manifest().values())) == text


def test_table_is_replaced_and_nothing_else() -> None:
    module = script("recipes/make_manifest.py")
    text = f"before\n{module.BEGIN}\n| old |\n{module.END}\nafter\n"
    new = module.with_table(text, module.describe(ROOT / "weights"))
    assert new.startswith("before\n") and new.endswith("\nafter\n") and "| old |" not in new
    assert all(entry.sha256 in new for entry in weights.manifest().values())


def test_every_weight_file_and_its_licence_is_among_the_third_parties() -> None:
    (rows,) = tables(section("THIRD_PARTY.md", "Weights"))
    listed = {names(file)[0]: licence.split()[0] for file, licence, _ in rows}
    assert listed == {e.file: e.licence.split()[0] for e in weights.manifest().values()}


def test_every_package_is_among_the_third_parties_under_its_extra() -> None:
    from packaging.requirements import Requirement

    def packages(lines: list[str]) -> set[str]:
        return {name for line in lines if (name := Requirement(line).name) != PROJECT["name"]}

    (rows,) = tables(section("THIRD_PARTY.md", "Packages"))
    listed: dict[str, set[str]] = {}
    for cell, _, use in rows:
        extra = match[1] if (match := re.match(r"extra `(\w+)`", use)) else ""
        listed.setdefault(extra, set()).update(part.split()[0] for part in cell.split(", "))
    extras = {extra: packages(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
    assert listed == {"": packages(PROJECT["dependencies"]), **extras}


def test_lock_pins_every_requirement_within_its_bounds() -> None:
    from packaging.requirements import Requirement

    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.11"}):
            assert pins[requirement.name] in requirement.specifier, text


# Contributing ---------------------------------------------------------------------------------------------------------


def test_every_room_of_the_package_is_described_once() -> None:
    (rows,) = tables(section("CONTRIBUTING.md", "The tree"))
    described = [name.removeprefix("glot_cli/").rstrip("/") for row in rows for name in names(row[0])]
    package = [path for path in (ROOT / "glot_cli").iterdir() if not path.name.startswith("_")]
    there = [path.name for path in package if path.suffix == ".py" or (path / "__init__.py").is_file()]
    assert sorted(described) == sorted(there)


# Everywhere -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    places = (ROOT, ROOT / "glot_cli", ROOT / "weights")
    own = re.compile(r"(glot_cli|weights|tests|docs|examples|\.ci)/")
    for span in code_spans(page):
        is_source = re.fullmatch(r"[\w./-]+\.(py|toml|sh|md)", span) and "/" in span
        if is_source or (own.match(span) and re.fullmatch(r"[\w./-]+", span)):
            assert any((place / span).exists() for place in places), span


def test_every_page_can_be_found_from_the_readme() -> None:
    found, new = set(), {"README.md"}
    while new:
        found |= new
        targets = {((ROOT / page).parent / link.partition("#")[0]).resolve() for page in new for link in links(page)}
        new = {page for page in PAGES if (ROOT / page).resolve() in targets} - found
    assert set(PAGES) - found == set()


def _said() -> list[str]:
    """The constant parts of all texts in the code."""
    sources = (path.read_text("utf-8") for path in (ROOT / "glot_cli").rglob("*.py"))
    nodes = itertools.chain.from_iterable(ast.walk(ast.parse(source)) for source in sources)
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_lines_that_are_explained_are_lines_that_glot_says() -> None:
    (rows,) = tables(section("docs/platforms.md", "What lines mean"))
    parts = [part for row in rows for part in names(row[0])[0].split("...") if part.strip(" ,:;()")]
    said = _said()
    assert [part for part in parts if not any(part in text for text in said)] == []


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_finished(page: str) -> None:
    assert not re.search(r"to be filled in|TODO|<!-- (?!table|end of table)", PAGES[page])


def test_changelog_is_in_the_form_of_keep_a_changelog() -> None:
    text = PAGES["CHANGELOG.md"]
    versions = re.findall(r"^## \[(.+)\]", text, re.MULTILINE)
    version = glot_cli.__version__
    assert versions[0] == "Unreleased" and (
        version in versions or ".dev" in version
    )  # what is not out yet has no entry
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


def test_configurations_are_named() -> None:
    shipped = {path.stem for path in CONFIGS.glob("*.toml")}
    assert {name for name in shipped if f"`{name}`" not in PAGES["docs/command_line.md"]} == set()


def test_every_variant_of_the_claims_is_a_configuration_of_its_own() -> None:
    claims = script("studies/claims.py")
    configs = [load_config(find_config("open"), (*claims.SHORT, *changes)) for changes in claims.VARIANTS.values()]
    assert all(config.updates == configs[0].updates for config in configs)
    assert all(a != b for a, b in itertools.combinations(configs, 2))
