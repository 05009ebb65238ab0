"""Every command and option that the documents name is there, and every one that is there is documented."""

import re
from pathlib import Path

import click
import pytest

from glot_cli.cli.main import COMMANDS, group
from glot_cli.pipeline.presets import PRESETS
from glot_cli.rendering.styles import STYLES
from tests.documents import PAGES, ROOT, code_spans, prose, section, shell_commands, tables

EVERYWHERE = {"-h", "--help"}


def _leaves() -> dict[str, click.Command]:
    """All commands by the words that call them: "run", "weights add"."""
    found: dict[str, click.Command] = {}
    with group.make_context("glot", [], resilient_parsing=True) as context:
        for name in COMMANDS:
            command = group.get_command(context, name)
            assert command is not None
            parts = command.commands.items() if isinstance(command, click.Group) else [("", command)]
            found |= {f"{name} {part}".strip(): leaf for part, leaf in parts}
    return found


LEAVES = _leaves()


def _options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option)]


def _names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _fault(command: click.Command, arguments: list[str]) -> str | None:
    """What Click finds wrong with arguments, None where nothing is. Files need not be there."""
    with click.Context(command, info_name=command.name) as context:
        try:
            values, _, _ = command.make_parser(context).parse_args(list(arguments))
            for parameter in command.params:
                if parameter.name in values and not isinstance(parameter.type, click.Path):
                    parameter.type_cast_value(context, values[parameter.name])
        except click.UsageError as error:
            return error.format_message()
    return None


def _fault_of_line(words: list[str]) -> str | None:
    """What is wrong with the words after `glot`."""
    if words and words[0] in ("--version", *EVERYWHERE):
        return None
    for length in (2, 1):
        name, rest = " ".join(words[:length]), words[length:]
        if name in LEAVES:
            return _fault(LEAVES[name], [word for word in rest if word not in EVERYWHERE])
    groups = {name.split()[0] for name in LEAVES if " " in name}
    alone = (len(words) == 1 and words[0] in groups) or words == ["COMMAND", "--help"]
    return None if alone else f"no command {' '.join(words)}"


def _glot_words(words: list[str]) -> list[str] | None:
    """What is handed to glot in a line of shell, None where another program is called."""
    while words and "=" in words[0]:  # variables of the environment
        words = words[1:]
    if words[:1] == ["torchrun"]:
        words = words[words.index("glot") :]
    return words[1:] if words[:1] == ["glot"] else None


def _source(script: Path) -> str:
    """A script and those beside it that it imports, which may read its options."""
    source = script.read_text("utf-8")
    beside = [path for path in script.parent.glob("*.py") if f"from {path.stem} import" in source]
    return source + "".join(path.read_text("utf-8") for path in beside)


@pytest.mark.parametrize("page", PAGES)
def test_shell_blocks_name_commands_and_options_that_are_there(page: str) -> None:
    for words in shell_commands(page):
        line = " ".join(words)
        if (handed := _glot_words(words)) is not None:
            assert _fault_of_line(handed) is None, line
        for script in (word for word in words[:2] if word.endswith((".py", ".sh"))):
            source = _source(ROOT / script)
            rest = words[words.index(script) + 1 :]
            if script.endswith(".sh"):  # hands its options on
                assert _fault(LEAVES["run"], rest) is None, line
            else:
                assert [word for word in rest if word.startswith("--") and f'"{word}"' not in source] == [], line


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_in_running_text_are_there(page: str) -> None:
    for span in code_spans(page):
        words = span.split()
        if words[:1] == ["glot"] and len(words) > 1:
            assert _fault_of_line(words[1:]) is None, span
        elif span.startswith("-") and words[0] not in (*EVERYWHERE, "--version"):
            found = [(leaf, o) for leaf in LEAVES.values() for o in _options(leaf) if words[0] in _names(o)]
            assert found, span
            right = (len(words) == 1 or words[1] == o.metavar or _fault(leaf, words) is None for leaf, o in found)
            assert any(right) or words[1:] == ["NAME"], span
    bare = re.sub(r"`[^`]*`|^ {4,}.*$", "", prose(page), flags=re.MULTILINE)
    assert re.findall(r"(?<![\w-])--[a-z][\w-]*", bare) == [], "an option stands between backticks"


def _first_cell(option: click.Option) -> str:
    """How an option is written in a table: short name first, its unit after the long one."""
    unit = ""
    if not option.is_flag:
        choice = isinstance(option.type, click.Choice)
        unit = f" {option.metavar or ('NAME' if choice else option.type.name.upper())}"
    short = [name for name in option.opts if not name.startswith("--")]
    long = [name for name in _names(option) if name.startswith("--")]
    return ", ".join(f"`{name}`" for name in short) + ", " * bool(short) + ", ".join(f"`{n}{unit}`" for n in long)


def _default(option: click.Option) -> str:
    told = re.search(r"\[default: (.*)\]", option.help or "")
    if told:
        return told[1]
    if option.required:
        return "required"
    return str(option.default) if option.show_default else ""


def _limits(option: click.Option) -> list[str]:
    kind = option.type
    if not isinstance(kind, click.IntRange | click.FloatRange):
        return []
    return [f"{limit:g}" for limit in (kind.min, kind.max) if limit is not None]


def test_every_command_has_a_section_and_a_row() -> None:
    text = PAGES["docs/command_line.md"]
    assert re.findall(r"^## glot (.+)$", text, re.MULTILINE) == list(LEAVES)
    (overview,) = tables(text.split("\n## ")[0])
    named = [re.match(r"\[`glot (.*)`\]\((#.*)\)", row[0]) for row in overview]
    assert all(named)
    assert [" ".join(m[1].split()[: len(name.split())]) for m, name in zip(named, LEAVES, strict=True) if m] == [
        *LEAVES
    ]
    assert [m[2] for m in named if m] == [f"#glot-{name.replace(' ', '-')}" for name in LEAVES]


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_has_its_row_with_unit_default_choices_and_limits(name: str) -> None:
    shared = [] if name == "run" else _options(LEAVES["run"])  # the same ones are documented there
    options = [option for option in _options(LEAVES[name]) if not any(option is other for other in shared)]
    found = tables(section("docs/command_line.md", f"glot {name}"))
    rows = {row[0].replace(r"\|", "|"): row for row in (found[0] if found else [])}
    assert list(rows) == [_first_cell(option) for option in options]
    for option in options:
        _, default, meaning = rows[_first_cell(option)]
        assert default == _default(option), option.name
        if isinstance(option.type, click.Choice):
            assert [c for c in option.type.choices if f"`{c}`" not in meaning] == [], option.name
        assert [limit for limit in _limits(option) if not re.search(rf"(?<![\w.]){limit}\b", meaning)] == [], (
            option.name
        )


def test_readme_names_styles_and_presets() -> None:
    readme = PAGES["README.md"]
    assert all(f"`{name}`" in readme for name in (*STYLES, *PRESETS))
