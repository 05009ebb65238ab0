"""What the documents promise is so: keys, hashes, commands, examples."""

import importlib.util
import itertools
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest

from glot_cli import weights
from glot_cli.cli.main import COMMANDS, group
from glot_cli.errors import GlotError
from glot_cli.pipeline.presets import PRESETS
from glot_cli.rendering import probe_backend
from glot_cli.rendering.styles import STYLES
from glot_cli.results import FIELDS, Meta
from glot_cli.training.config import find_config, load_config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CLIP = ROOT / "examples" / "clip.mp4"
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_recipe", ROOT / "weights" / "recipes" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_lists_every_key_with_type_shape_and_unit() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| \(([^)]*)\) \| ([^|]*)\|", section("What comes out"), re.MULTILINE)
    listed = {name: (dtype, tuple(part.strip() for part in shape.split(",") if part.strip()), unit.strip())
              for name, dtype, shape, unit in rows}  # fmt: skip
    assert listed.pop("meta") == ("text", (), "")
    assert listed == {name: (f.dtype, ("M", *map(str, f.row)), f.unit) for name, f in FIELDS.items()}


def test_readme_names_everything_in_meta() -> None:
    text = section("What comes out").split("`meta` holds")[1]
    assert [f.name for f in fields(Meta) if f"`{f.name}`" not in text] == []


def test_weights_readme_has_the_table_of_the_manifest() -> None:
    text = (ROOT / "weights" / "README.md").read_text("utf-8")
    module = recipe("manifest")
    remedy = "run python weights/recipes/make_manifest.py"
    assert module.table(list(weights.manifest().values())) in text, remedy
    assert module.describe(ROOT / "weights") == list(weights.manifest().values()), remedy
    assert module.with_table(text, list(weights.manifest().values())) == text


def test_table_is_replaced_and_nothing_else() -> None:
    module = recipe("manifest")
    text = f"before\n{module.BEGIN}\n| old |\n{module.END}\nafter\n"
    new = module.with_table(text, module.describe(ROOT / "weights"))
    assert new.startswith("before\n") and new.endswith("\nafter\n") and "| old |" not in new
    assert all(entry.sha256 in new for entry in weights.manifest().values())


def test_named_files_exist() -> None:
    for readme, folder in ((README, ROOT), ((ROOT / "weights" / "README.md").read_text("utf-8"), ROOT)):
        links = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
        named = re.findall(r"(?:weights/recipes|examples|glot_cli)/[\w/]+\.\w+", readme)
        assert named
        assert [name for name in {*links, *named} if not (folder / name).exists()] == []


def test_commands_and_options_in_the_readme_exist() -> None:
    named = set(re.findall(r"(?:^    |`|&& )glot ([a-z]+)", README, re.MULTILINE))
    assert {"run", "render", "weights", "train"} <= named <= set(COMMANDS)
    known = {"--help", "--debug"}
    with group.make_context("glot", [], resilient_parsing=True) as context:
        for name in COMMANDS:
            command = group.get_command(context, name)
            assert command is not None
            parts = command.commands.values() if isinstance(command, click.Group) else [command]
            known |= {o for part in parts for p in part.params for o in (*p.opts, *p.secondary_opts)}
    own = README.replace("pip install --no-deps", "").replace("--python-version", "")
    own = re.sub(r"torchrun .* --no-python|weights/recipes/\w+\.py[^`\n]*", "", own)  # options of other programs
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", own)) <= known
    assert all(f"`{style}`" in README for style in STYLES)
    assert f"`--preset {next(iter(PRESETS))}`" in README


def test_lock_pins_every_requirement_within_its_bounds() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for text in project["dependencies"]:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.11"}):
            assert pins[requirement.name] in requirement.specifier, text


def test_examples_for_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(EXAMPLES) == 3
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    run_it, place_it, draw_it = (compile(code, "README.md", "exec") for code in EXAMPLES)
    first: dict = {}
    exec(run_it, first)
    assert first["result"].people and len(first["result"]) > 0
    second: dict = {}
    exec(place_it, second)
    assert np.abs(second["pixels"] - second["result"].joints2d).max() < 0.1  # pixels
    vertices, meta = second["vertices"], second["result"].meta
    picture = vertices[..., :2] / vertices[..., 2:] * meta.focal_length + second["centre"]
    inside = (picture > 0) & (picture < [meta.width, meta.height])
    assert inside.all(-1).mean() > 0.5, "bodies lie in the picture"
    try:
        probe_backend()
    except GlotError as error:
        pytest.skip(str(error))
    exec(draw_it, {})
    assert (tmp_path / "result" / "side.mp4").stat().st_size > 0


@pytest.fixture
def fake_glot(tmp_path: Path) -> dict[str, str]:
    """An environment whose `glot` notes its arguments and fails for clips that have `bad` in their name."""
    script = tmp_path / "bin" / "glot"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nprintf "%s|" "$@" >> "$NOTES"; echo >> "$NOTES"\ncase "$*" in *bad*) exit 1;; esac\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "NOTES": str(tmp_path / "notes")}


def batch(*arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "examples" / "batch.sh"), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def test_batch_runs_every_clip_and_reports_failures(tmp_path: Path, fake_glot: dict[str, str]) -> None:
    clips = tmp_path / "my clips"
    clips.mkdir()
    for name in ("a b.mp4", "bad one.MOV", "ünï*.mkv", "notes.txt"):
        (clips / name).touch()
    done = batch(clips, tmp_path / "out", "--no-render", env=fake_glot)
    assert done.returncode == 1
    calls = [line.split("|")[:-1] for line in (tmp_path / "notes").read_text("utf-8").splitlines()]
    assert {tuple(call[:-1]) for call in calls} == {("run", "--out", str(tmp_path / "out"), "--no-render", "--")}
    assert sorted(call[-1] for call in calls) == [str(clips / name) for name in ("a b.mp4", "bad one.MOV", "ünï*.mkv")]
    assert "1 of 3 clips failed" in done.stderr and str(clips / "bad one.MOV") in done.stderr
    (clips / "bad one.MOV").unlink()
    assert batch(clips, tmp_path / "out", env=fake_glot).returncode == 0


def test_batch_refuses_wrong_usage(tmp_path: Path, fake_glot: dict[str, str]) -> None:
    for arguments in ([], [tmp_path / "none", tmp_path / "out"], [tmp_path, tmp_path / "out"]):
        done = batch(*arguments, env=fake_glot)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert not (tmp_path / "notes").exists()


def test_every_variant_of_the_claims_is_a_configuration_of_its_own() -> None:
    claims = recipe("claims")
    configs = [load_config(find_config("open"), (*claims.SHORT, *changes)) for changes in claims.VARIANTS.values()]
    assert all(config.updates == configs[0].updates for config in configs)
    assert all(a != b for a, b in itertools.combinations(configs, 2))
