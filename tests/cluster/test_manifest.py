"""Which clips a manifest means, and where their results go."""

from pathlib import Path

import fsspec
import pytest

from glot_cli.cluster.manifest import Entry, read_manifest
from glot_cli.errors import InputError


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "b").mkdir(parents=True)
    (folder / "pictures").mkdir()
    (folder / ".hidden").mkdir()
    for name in ("a.mp4", "b/a.MOV", "b/two\nlines.mkv", "notes.txt", "pictures/1.png", ".hidden/x.mp4", "b/still.jpg"):
        (folder / name).touch()
    return folder


def read(manifest: Path, out: object = "/out") -> list[Entry]:
    return read_manifest(manifest, str(out))


def test_folder_means_its_videos_and_folders_of_images(clips: Path) -> None:
    assert read(clips) == [
        Entry(str(clips / "a.mp4"), "/out/a"),
        Entry(str(clips / "b/a.MOV"), "/out/b/a"),
        Entry(str(clips / "b/two\nlines.mkv"), "/out/b/two\nlines"),
        Entry(str(clips / "pictures"), "/out/pictures"),
    ]


def test_results_below_a_folder_are_no_clips_of_it(clips: Path) -> None:
    before = read(clips, clips / "out")
    (clips / "out" / "a").mkdir(parents=True)
    (clips / "out" / "a" / "overlay.mp4").touch()
    assert read(clips, clips / "out") == before


def test_lines_are_paths_from_the_manifest_and_globs(clips: Path) -> None:
    manifest = clips.parent / "list.txt"
    manifest.write_bytes(
        b"\xef\xbb\xbf# a remark\n\nclips/a.mp4\r\nclips/*/*.M*\nmissing.mp4\nnone/*.mp4\nodd\xff.mp4\n"
    )
    assert [(Path(e.video).relative_to(clips.parent), e.folder, e.fault) for e in read(manifest)] == [
        (Path("clips/a.mp4"), "/out/a", None),
        (Path("clips/b/a.MOV"), "/out/b/a", None),
        (Path("missing.mp4"), "/out/missing", None),
        (Path("none/*.mp4"), "/out/*", None),
        (Path("odd\udcff.mp4"), "/out/odd\udcff", None),
    ]


def test_table_names_results_and_places(clips: Path) -> None:
    manifest = clips.parent / "list.csv"
    manifest.write_text(
        'video,name,out\nclips/a.mp4,x/y,\nclips/b/a.MOV,,/elsewhere/z\n"clips/b/two\nlines.mkv",,\nclips/b/a.MOV,,s3://b/z\n'
    )
    assert read(manifest) == [
        Entry(str(clips / "a.mp4"), "/out/x/y"),
        Entry(str(clips / "b/a.MOV"), "/elsewhere/z"),
        Entry(str(clips / "b/two\nlines.mkv"), "/out/two\nlines"),
        Entry(str(clips / "b/a.MOV"), "s3://b/z"),
    ]


def test_what_is_listed_again_or_would_share_a_folder_is_told(clips: Path) -> None:
    manifest = clips.parent / "list.csv"
    (clips / "again.mp4").symlink_to(clips / "a.mp4")
    lines = [
        "video,name",
        "clips/a.mp4,",
        "clips/../clips/a.mp4,",
        "clips/again.mp4,",
        "clips/b/a.MOV,a",
        "x.mp4,../up",
    ]
    manifest.write_text("\n".join(lines))
    faults = [entry.fault for entry in read(manifest)]
    assert faults[0] is None and faults[1] == faults[2] == "is listed before"
    assert faults[3] == f"would write /out/a, as {clips / 'a.mp4'} does; give it a name of its own in a CSV"
    assert faults[4] == "'../up' is no name of a folder below that of the results"


def test_urls_and_globs_of_them(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    for name in ("/films/a/take.mp4", "/films/b/take.mp4"):
        store.pipe_file(name, b"x")
    manifest = tmp_path / "list.txt"
    manifest.write_text("memory://films/*/take.mp4\ns3://bucket/c.mp4\n")
    assert read(manifest, "memory://results") == [
        Entry("memory:///films/a/take.mp4", "memory://results/a/take"),
        Entry("memory:///films/b/take.mp4", "memory://results/b/take"),
        Entry("s3://bucket/c.mp4", "memory://results/c"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file or folder"),
        (b"", "holds no clips"),
        (b"# nothing\n", "holds no clips"),
        (b"a.mp4\0", "is no text"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    manifest = tmp_path / "list.txt"
    if content is not None:
        manifest.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(manifest)


@pytest.mark.parametrize(("text", "words"), [("film\na.mp4\n", "no column called video"), ('video\n"a\n', "is no CSV")])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(text)
    with pytest.raises(InputError, match=words):
        read(manifest)
