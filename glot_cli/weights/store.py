"""Where weight files are, what they are, and whether they are intact: those that are shipped and those a user added."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from glot_cli.errors import WeightsError, one_line
from glot_cli.files.atomic import not_written, whole
from glot_cli.files.faults import FileFault, check_size, damage
from glot_cli.files.opening import check_there, expanded, read_bytes
from glot_cli.weights.known_weights import OFFICIAL_WEIGHTS

MANIFEST = "manifest.json"
MAX_RECORD = 1 << 20  # bytes of what stands beside a file
LARGEST_WEIGHT = 1e9  # of those that are shipped none comes near; what is not finite is not below it either
NO_ROOM = "name another folder with GLOT_WEIGHTS"  # what to do where the user's folder cannot be written


@dataclass(frozen=True)
class WeightFile:
    """One file, as the manifest (shipped) or the record beside it (added) describes it.

    Attributes:
        name: what glot calls it.
        file: its name in its folder.
        role: what it is, in words.
        source: what it was made of or where it comes from.
        licence: under which it may be used.
        size: in bytes.
        sha256: hexadecimal.
    """

    name: str
    file: str
    role: str
    source: str
    licence: str
    size: int
    sha256: str


def shipped_folder() -> Path:
    """The folder of the weights that travel with the package: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "_weights"
    return inside if inside.is_dir() else package.parent / "weights"


def user_folder() -> Path:
    """The user's weights folder: GLOT_WEIGHTS, else `glot` in the platform's folder for programs' data.

    It holds what `glot weights add` converted; a file named like a shipped one stands in for that.
    """
    value = os.environ.get("GLOT_WEIGHTS")
    if value:
        return expanded(value)
    from platformdirs import user_data_path

    return user_data_path("glot", appauthor=False) / "weights"


def _own_files() -> list[str]:
    """Names of what is in the user's folder.

    Raises:
        WeightsError: it was named with GLOT_WEIGHTS and cannot be looked into. One that nobody named is done without.
    """
    try:
        return sorted(os.listdir(user_folder()))
    except OSError as error:
        if os.environ.get("GLOT_WEIGHTS") and not isinstance(error, FileNotFoundError):
            reason, remedy = f"cannot be read ({error.strerror})", "check what GLOT_WEIGHTS names"
            raise WeightsError(reason, path=user_folder(), remedy=remedy) from error
        return []


@cache
def manifest() -> dict[str, WeightFile]:
    """Shipped files by name. Raises WeightsError when the installation is broken."""
    path = shipped_folder() / MANIFEST
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        reason = f"the list of weights is missing or damaged ({one_line(error, 300)})"
        raise WeightsError(reason, path=path, remedy="install again") from error
    return {row["name"]: WeightFile(**row) for row in rows}


def added() -> dict[str, WeightFile]:
    """Files that `glot weights add` has put into the user's folder, by name."""
    entries = {}
    for name in _own_files():
        if not name.endswith(".json"):
            continue
        try:
            with damage("no record of weights"):
                entry = WeightFile(**json.loads(read_bytes(user_folder() / name, MAX_RECORD)))
        except FileFault:
            continue  # something of the user's own
        if all(type(getattr(entry, field.name)).__name__ == field.type for field in fields(entry)):
            entries[entry.name] = entry
    return entries


def is_known(name: str) -> bool:
    """Whether weights of that name were shipped or added; else it may be a file of the user's."""
    return name in manifest() or name in added()


def write_entry(entry: WeightFile) -> None:
    """Write the record of an added file, which lies in the user's folder already. Raises OutputError."""
    path = user_folder() / f"{entry.name}.json"
    try:
        with whole(path) as aside:
            aside.write_text(json.dumps(asdict(entry), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise not_written(path, error, NO_ROOM) from error


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file. Raises WeightsError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", path=path, remedy="check its permissions") from error
    return digest.hexdigest()


def locate(name: str) -> Path:
    """Path of a weight file, checked against its SHA-256.

    A file in the user's folder that is named like a shipped one comes first; nobody knows its SHA-256, so only what no
    network can hold is refused.

    Raises:
        WeightsError: the file is missing or damaged, or nobody has added it yet.
    """
    entry = manifest().get(name)
    if entry is None:
        if (entry := added().get(name)) is None:
            reason, remedy = f"has no {_called(name)}", "'glot weights list' says where to get it"
            raise WeightsError(reason, path=user_folder(), remedy=remedy)
        path, remedy = user_folder() / entry.file, "add it again with 'glot weights add'"
    elif entry.file in _own_files():
        _check_own(user_folder() / entry.file)
        return user_folder() / entry.file
    else:
        path, remedy = shipped_folder() / entry.file, "install glot-cli again"
    fault = check(entry, path)
    if fault:
        raise WeightsError(fault, path=path, remedy=remedy)
    return path


def _check_own(path: Path) -> None:
    """Raise WeightsError where a file that stands in for a shipped one is no weights, or holds impossible numbers.

    Such numbers would come out later as people who are nowhere, or as a failure of arithmetic that names no file.
    """
    if path.suffix != ".safetensors":  # others are checked by those who read them
        return
    from safetensors.torch import load_file

    try:
        check_size(check_there(path))
        tensors = load_file(path)
        sound = all(bool((tensor.abs() < LARGEST_WEIGHT).all()) for tensor in tensors.values())
        fault = None if sound else "damaged: holds numbers that no network has"
    except Exception as error:  # of OSError and of the library's own
        fault = f"cannot be read ({one_line(error)})"
    if fault:
        remedy = "put an intact file there, or remove it and glot takes its own"
        raise WeightsError(fault, path=path, remedy=remedy)


def _called(name: str) -> str:
    official = OFFICIAL_WEIGHTS.get(name)
    return f"{official.role} ({official.originals[0]})" if official else f"weights '{name}'"


def check(entry: WeightFile, path: Path) -> str | None:
    """What is wrong with a file, None when it is intact."""
    if not os.path.isfile(path):
        return f"the {entry.role} is missing ({entry.size} bytes expected)"
    if path.stat().st_size != entry.size:
        return f"the {entry.role} has {path.stat().st_size} bytes, expected {entry.size}"
    if (found := sha256(path)) != entry.sha256:
        return f"the {entry.role} has SHA-256 {found}, expected {entry.sha256}"
    return None
