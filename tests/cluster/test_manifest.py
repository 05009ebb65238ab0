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
    assert faults[0] is None and faults[1] == faults[2] == "is listed before, as number 0"
    assert faults[3] == f"would write /out/a, as {clips / 'a.mp4'} does; give it a name of its own in a CSV"
    assert faults[4] == "'../up' is no name of a folder below that of the results"


def test_brackets_in_the_folder_of_the_manifest_are_no_wildcards(tmp_path: Path) -> None:
    (tmp_path / "[12]").mkdir()
    (tmp_path / "1").mkdir()
    for name in ("[12]/own.mp4", "1/other.mp4", "1/missing.mp4"):
        (tmp_path / name).touch()
    manifest = tmp_path / "[12]" / "list.txt"
    manifest.write_text("*.mp4\nmissing.mp4\n")
    assert read(manifest) == [
        Entry(str(tmp_path / "[12]/own.mp4"), "/out/own"),
        Entry(str(tmp_path / "[12]/missing.mp4"), "/out/missing"),
    ]


def test_globs_of_everything_and_folders_of_images_with_dots(clips: Path) -> None:
    (clips / "shot.1").mkdir()
    (clips / "shot.2").mkdir()
    manifest = clips / "list.txt"
    manifest.write_text("shot.*\n**\n")
    entries = read(manifest)
    assert [(Path(e.video).name, e.folder) for e in entries[:2]] == [
        ("shot.1", "/out/shot.1"),
        ("shot.2", "/out/shot.2"),
    ]
    assert str(clips) not in {e.video for e in entries}
    assert {"a.mp4", "a.MOV", "notes.txt"} <= {Path(e.video).name for e in entries if not e.fault}


def test_no_result_lies_where_another_one_keeps_its_frames(clips: Path) -> None:
    manifest = clips / "list.csv"
    manifest.write_text("video,name\na.mp4,x\na/frames.mp4,x/frames\nb/a.MOV,y/frames/z\nb/two,y\nb/t,z/frames\n")
    assert [bool(entry.fault) for entry in read(manifest)] == [False, True, False, True, False]


def test_clips_in_the_folder_for_results_are_told(clips: Path) -> None:
    manifest = clips.parent / "list.txt"
    manifest.write_text("clips/a.mp4\nother.mp4\nclips/*.mp4\n")
    assert [(Path(e.video).name, (e.fault or "")[:31]) for e in read(manifest, clips)] == [
        ("a.mp4", "lies in the folder for results;"),
        ("other.mp4", ""),
    ]
    with pytest.raises(InputError, match="all its clips lie in the folder for results"):
        read(clips, clips)


def test_places_in_a_table_start_from_it(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clips.parent)
    monkeypatch.setenv("HOME", "/home/somebody")
    manifest = clips / "list.csv"
    manifest.write_text("video,out\na.mp4,results/x\nb/a.MOV,~/y\n")
    assert [entry.folder for entry in read(manifest)] == [str(clips / "results" / "x"), "/home/somebody/y"]


def test_urls_of_this_disk_are_paths_and_memory_keeps_nothing(clips: Path) -> None:
    manifest = clips / "list.csv"
    manifest.write_text(f"video,out\nfile://{clips}/a.mp4,\nb/a.MOV,file:///elsewhere/x\nb/c.mov,memory://x\n")
    first, second, third = read(manifest)
    assert (first, second) == (
        Entry(str(clips / "a.mp4"), "/out/a"),
        Entry(str(clips / "b/a.MOV"), "/elsewhere/x"),
    )
    assert third.fault is not None and "in the memory of one process" in third.fault


def test_a_place_that_cannot_be_looked_through_is_the_fault_of_its_line(clips: Path) -> None:
    manifest = clips / "list.txt"
    manifest.write_text("nothing-known://x/*.mp4\na.mp4\nx\u2028y.mp4\n", "utf-8")
    first, *others = read(manifest)
    assert first.fault is not None and "cannot be opened" in first.fault
    assert others == [Entry(str(clips / "a.mp4"), "/out/a"), Entry(str(clips / "x\u2028y.mp4"), "/out/x\u2028y")]


def test_more_clips_than_are_taken_are_refused_at_once(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glot_cli.cluster.manifest.MOST_CLIPS", 3)
    manifest = clips / "list.txt"
    manifest.write_text("a.mp4\n" * 4)
    with pytest.raises(InputError, match="lists more than 3 clips"):
        read(manifest)


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
