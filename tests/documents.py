"""The documents of this repository taken apart: pages, headings, links, tables, code."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "weights" / "README.md")
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def section(page: str, title: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    return PAGES[page].split(f"\n## {title}\n")[1].split("\n## ")[0]


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", PAGES[page])


def fenced(page: str, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return [code for found, code in _FENCE.findall(PAGES[page]) if found == language]


def shell_commands(page: str) -> list[list[str]]:
    """The words of every command in the indented blocks, which are shell. Lines may go on after a backslash."""
    lines = re.findall(r"^ {4,}(.+)$", re.sub(r"\\\n\s*", "", prose(page)), re.MULTILINE)
    commands = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while "&&" in words:
            commands.append(words[: words.index("&&")])
            words = words[words.index("&&") + 1 :]
        commands.append(words)
    return commands


def code_spans(page: str) -> list[str]:
    """What stands between backticks in running text and tables."""
    return [" ".join(span.replace(r"\|", "|").split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def tables(text: str) -> list[list[list[str]]]:
    """The bodies of all tables: rows of cells."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        found.append(rows[2:])
    return found


def links(page: str) -> list[str]:
    """Where a page points to."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
