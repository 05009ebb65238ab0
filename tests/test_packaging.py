"""What is shipped and what is imported: weights inside the wheel, a command line that starts at once, no pickles."""

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from glot_cli import weights
from glot_cli.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"av", "cv2", "numpy", "pyrender", "scipy", "smplx", "torch", "ultralytics"}


# `python -m hatchling` that spares itself the packing.
HATCHLING = """
import zlib
packs = zlib.compressobj
zlib.compressobj = lambda level=0, *rest, **named: packs(0, *rest, **named)
from hatchling.cli import hatchling
raise SystemExit(hatchling())
"""


def python(code: str, *path: Path) -> str:
    """Standard output of `code` in a process of its own, in which the folders `path` come first."""
    search = [*map(str, path), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search))}
    environment.pop("GLOT_WEIGHTS", None)
    command = [sys.executable, "-c", code]  # the current folder comes before all others, so it must not be ours
    done = subprocess.run(command, env=environment, cwd=os.sep, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(code: str) -> set[str]:
    """The top-level modules that a process holds after `code`, which may print what it likes."""
    said = python(f"{code}\nimport json, sys\nprint(); print(json.dumps(list(sys.modules)))")
    return set(json.loads(said.splitlines()[-1]))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from the source distribution, so that both are seen to hold what they need."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")

    def build(target: str, source: Path) -> None:
        command = [sys.executable, "-c", HATCHLING, "build", "-t", target, "-d", str(folder)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr

    build("sdist", ROOT)
    (archive,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(archive)], cwd=folder, check=True)
    build("wheel", folder / archive.name.removesuffix(".tar.gz"))
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_weights_and_finds_them(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("glot_cli/_weights/") for name in archive.namelist() if "/_weights/" in name}
        everything = archive.namelist()
        archive.extractall(tmp_path)
    assert names == {"manifest.json", "README.md", *(entry.file for entry in weights.manifest().values())}
    assert all(name.startswith(("glot_cli/", "glot_cli-")) for name in everything), "the wheel holds only the package"
    viewer = [path for path in (ROOT / "glot_cli" / "viewer").rglob("*") if path.suffix in (".css", ".html", ".js")]
    assert len(viewer) > 5 and {str(path.relative_to(ROOT)) for path in viewer} <= set(everything)
    said = python("from glot_cli.cli.main import main; main(['weights', 'verify'])", tmp_path)
    assert said.count(": intact (") == len(weights.manifest())
    assert said.count(f"({tmp_path / 'glot_cli' / '_weights'}") == len(weights.manifest())


def test_shipped_files_are_what_the_manifest_says() -> None:
    faults = {e.name: weights.check(e, ROOT / "weights" / e.file) for e in weights.manifest().values()}
    assert faults == dict.fromkeys(weights.manifest())


QUICK = ["--help", "--version", "weights list", *(f"{name} --help" for name in (*COMMANDS, "weights add"))]


@pytest.mark.parametrize("arguments", QUICK)
def test_help_needs_nothing_heavy(arguments: str) -> None:
    modules = imported(f"from glot_cli.cli.main import group\ngroup.main({arguments.split()}, standalone_mode=False)")
    assert "click" in modules
    assert not HEAVY & modules


def test_python_interface_is_lazy_and_needs_no_click() -> None:
    assert not HEAVY & imported("import glot_cli")
    used = "".join(f"assert callable(glot_cli.{name})\n" for name in ("load_result", "render", "run"))
    modules = imported(f"import glot_cli\n{used}")
    assert not {"click", "torch"} & modules
    assert "numpy" in modules


def unpickling(source: str) -> list[int]:
    """Lines of Python source that may unpickle whatever a file says."""

    def is_constant(call: ast.Call, keyword: str, value: bool) -> bool:
        return any(k.arg == keyword and ast.unparse(k.value) == str(value) for k in call.keywords)

    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [module] if module else [alias.name for alias in node.names]
            if {str(name).split(".")[0] for name in names} & {"cloudpickle", "dill", "joblib", "marshal", "shelve"}:
                lines.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        plain = call in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.hub.load")
        free_torch = call == "torch.load" and not is_constant(node, "weights_only", True)
        free_numpy = call in ("np.load", "numpy.load") and not is_constant(node, "allow_pickle", False)
        if plain or free_torch or free_numpy:
            lines.append(node.lineno)
    return lines


def test_nothing_unpickles_freely() -> None:
    files = sorted([*(ROOT / "glot_cli").rglob("*.py"), *(ROOT / "weights").rglob("*.py")])
    assert len(files) > 50
    assert {str(f.relative_to(ROOT)): lines for f in files if (lines := unpickling(f.read_text("utf-8")))} == {}


@pytest.mark.parametrize(
    "source",
    ["pickle.load(f)", "import joblib", "from dill import load", "torch.load(f)", "torch.load(f, weights_only=False)",
     "np.load(f)", "np.load(f, allow_pickle=True)"],
)  # fmt: skip
def test_the_search_for_unpickling_finds_it(source: str) -> None:
    assert unpickling(source) == [1]
