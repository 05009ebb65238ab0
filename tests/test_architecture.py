"""The plan of the house: imports run down, a file has one subject, a name stands for one thing."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import click

from glot_cli.cli.main import group
from glot_cli.cli.telling import flag_of

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "glot_cli"
LONGEST = 400  # lines of a file

# From the top: a room imports what stands below it, and nothing beside or above it.
LAYERS = (
    ("cli",),
    ("cluster",),
    ("api", "benchmark", "doctor", "information"),
    ("training",),
    ("evaluation",),
    ("synth",),
    ("datasets",),
    ("pipeline",),
    ("viewer",),
    ("exporting",),
    ("world",),
    ("lifting",),
    ("tracking", "rendering"),
    ("motion",),
    ("results",),
    ("record_checks",),
    ("schema",),
    ("weights",),
    ("features",),
    ("body",),
    ("models",),
    ("video",),
    ("files",),
    ("camera", "device", "inference", "metrics", "progress", "smoothing", "smpl"),
    ("clock", "errors", "_version"),
)
HEIGHT = {room: -height for height, rooms in enumerate(LAYERS) for room in rooms}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(*folders: str) -> dict[Path, ast.Module]:
    return {path: parsed(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Modules of the package that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports say the whole name"
            if node.module and node.module.split(".")[0] == PACKAGE:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                modules = [name for name in inner if name in known]
                yield from modules
                if len(modules) < len(inner):
                    yield node.module


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def graph() -> dict[str, set[str]]:
    trees = {module_of(path): tree for path, tree in sources(PACKAGE).items()}
    return {name: set(imports(tree, set(trees))) - {name} for name, tree in trees.items()}


def test_every_room_has_its_height() -> None:
    rooms = {room_of(module) for module in graph()} - {""}
    assert rooms == HEIGHT.keys()


def test_imports_run_down() -> None:
    """`glot_cli` itself is the porch: it leads to everything, and nothing inside leads out to it."""
    wrong = [
        f"{module} imports {target}"
        for module, targets in graph().items()
        for target in targets
        if module != PACKAGE
        and (
            target == PACKAGE
            or (room_of(target) != room_of(module) and HEIGHT[room_of(target)] >= HEIGHT[room_of(module)])
        )
    ]
    assert wrong == []


def test_the_contribution_guide_lists_the_rooms_in_this_order() -> None:
    table = re.findall(r"^\| (`glot_cli/.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.M)
    rooms = [re.findall(r"`glot_cli/(\w+)", row) for row in table]
    heights = [HEIGHT[room] for row in rooms for room in row]
    assert heights == sorted(heights, reverse=True)
    assert {room for row in rooms for room in row} == HEIGHT.keys() - {"_version"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    inside = {module: {t for t in targets if t != PACKAGE} for module, targets in graph().items() if module != PACKAGE}
    # A module may ask the package around it for a name: that package does not import the module in return.
    edges = {m: {t for t in targets if not m.startswith(f"{t}.")} for m, targets in inside.items()}
    assert list(TopologicalSorter(edges).static_order())


def test_files_have_one_subject() -> None:
    paths = sources(PACKAGE, "tests", "weights", "examples")
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST} == {}


def test_no_two_files_share_a_name() -> None:
    """Outside of cli/, whose files are named after commands."""
    names = defaultdict(list)
    for path in sources(PACKAGE, "tests", "weights", "examples"):
        if path.name != "__init__.py" and path.parent != ROOT / PACKAGE / "cli":
            names[path.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in names.items() if len(paths) > 1} == {}


def test_no_class_name_stands_for_two_things() -> None:
    names = Counter(
        node.name.lstrip("_")
        for tree in sources(PACKAGE).values()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_only_the_command_line_speaks_of_flags() -> None:
    flag = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    found = []
    for path, tree in sources(PACKAGE).items():
        if path.parent.name == "cli":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and flag.search(node.value):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {flag.findall(node.value)}")
    assert found == []


def flags(command: click.Command) -> Iterator[str]:
    """All flags of a command and of those below it."""
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from flags(inner)


def test_errors_name_options_that_there_are() -> None:
    """The command line makes a flag of the option that an error names: it must be one."""
    named = {
        keyword.value.value
        for tree in sources(PACKAGE).values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "option" and isinstance(keyword.value, ast.Constant) and keyword.value.value is not None
    }
    assert len(named) > 10
    known = set(flags(group))
    assert [name for name in named if flag_of(name) not in known] == []


def test_ultralytics_has_one_door() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path, tree in sources(PACKAGE).items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ultralytics")
        or (isinstance(node, ast.Import) and any(a.name.split(".")[0] == "ultralytics" for a in node.names))
    }
    assert found == {f"{PACKAGE}/tracking/ultralytics_adapter.py"}
