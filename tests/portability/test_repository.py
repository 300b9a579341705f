"""A DiffMem repository comes as `git fast-export` writes it: from git itself, and hostile."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.documents.metered import MeteredDocuments
from gateway.entities.content import MAX_STATEMENTS
from gateway.entities.register import View
from gateway.entities.versions import difference
from gateway.errors import NotFound
from gateway.portability import fast_export, repository
from gateway.portability.items import Committed, Refused, Version
from gateway.portability.notes import note_of
from support.facts import Records
from support.imports import imported, items
from support.memories import ALICE, NOON
from support.stores import sqlite_only

DAY = 86_400
BEGAN = int(NOON) - 100 * DAY
PROFILE = """\
# Ana Profile (Biographical Core) [Strength: High]

## Core Identity [ALWAYS_LOAD]
- Born 1980, engineer
- Lives in Bonn

### Relationships
• With Rui: old friends
  ↳ Pattern: they sail
/END Relationships
"""
MOVED = PROFILE.replace("Lives in Bonn", "Lives in Lisbon")
ANA, HEALTH = "users/ana/memories/people/ana.md", "users/ana/memories/contexts/health notes.md"


class Git:
    """A repository; a commit a day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = BEGAN
        self("init", "-q", "-b", "main")

    def __call__(self, *arguments: str) -> bytes:
        date = f"{self.at} +0100"
        env = {
            **{name: os.environ[name] for name in ("PATH",) if name in os.environ},
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ana",
            "GIT_AUTHOR_EMAIL": "ana@example.org",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": "Ana",
            "GIT_COMMITTER_EMAIL": "ana@example.org",
            "GIT_COMMITTER_DATE": date,
        }
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=env, check=True, capture_output=True
        ).stdout

    def files(self, files: dict[str, str | None]) -> None:
        for path, text in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            if text is not None:
                file.write_text(text, encoding="utf-8")
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", "Session 1: updated\n\ndata 5\nblob\n")
        self.at += DAY

    def export(self, *arguments: str) -> bytes:
        return self("fast-export", *(arguments or ("--all",)))


@pytest.fixture
def git(tmp_path: Path) -> Git:
    if shutil.which("git") is None:
        pytest.skip("git writes these streams: apt-get install git")
    folder = tmp_path / "repository"
    folder.mkdir()
    return Git(folder)


@pytest.fixture
def records(documents: MeteredDocuments) -> Records:
    return Records(documents)


async def named(records: Records, name: str, **when: Any) -> View:
    cards, _ = await records.register.cards(ALICE, limit=100)
    (card,) = [one for one in cards if one.name.startswith(name)]
    return await records.register.get(ALICE, card.id, **when)


def texts(view: View) -> list[str]:
    return [one.text for one in view.content.holding(view.as_of)]


async def test_files_become_entities_and_their_history_versions(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE, "repo_guide.md": "# Guide", "users/ana/index.md": "# Index"})
    git.files({HEALTH: "# Health\n\nSleeps badly.\n", "picture.png": "no text"})
    git.files({ANA: MOVED})
    report = await imported(documents, git.export())
    assert (report.versions, report.commits, report.errors) == (3, 3, [])
    ana = await named(records, "Ana Profile")
    assert (ana.content.kind, ana.content.strength) == ("person", 0.9)
    assert ana.content.always_load == ("Core Identity",)
    lisbon = [
        "Born 1980, engineer",
        "Lives in Lisbon",
        "With Rui: old friends ↳ Pattern: they sail",
    ]
    assert texts(ana) == lisbon
    first = await records.register.get(ALICE, ana.id, as_of=BEGAN + DAY)
    assert "Lives in Bonn" in texts(first)
    known = await records.register.get(ALICE, ana.id, known_at=BEGAN + DAY)
    assert (known.mark.number, known.mark.recorded_at) == (1, BEGAN)
    with pytest.raises(NotFound):
        await records.register.get(ALICE, ana.id, as_of=BEGAN - 1.0)
    changed = difference(known.content, ana.content)
    ((bonn,), (added,)) = changed["superseded"], changed["added"]
    assert (bonn["text"], bonn["superseded_by"]) == ("Lives in Bonn", added["id"])
    assert texts(await named(records, "Health")) == ["Sleeps badly."]


async def test_the_log_tells_of_its_commits_and_one_can_be_reverted(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE})
    git.files({ANA: MOVED})
    await imported(documents, git.export())
    log = await records.commits()
    assert [(one.sequence, one.kind, one.at) for one in log] == [
        (2, "import", BEGAN + DAY),
        (1, "import", BEGAN),
    ]
    await records.reversals.revert(ALICE, 2)
    assert "Lives in Bonn" in texts(await named(records, "Ana Profile"))


async def test_a_repository_that_has_grown_is_imported_again_and_only_what_is_new_is_added(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE})
    await imported(documents, git.export())
    git.files({ANA: MOVED})
    report = await imported(documents, git.export())
    assert (report.versions, report.versions_unchanged, report.commits) == (1, 1, 1)
    documents.reset()
    report = await imported(documents, git.export())
    assert (report.versions, report.versions_unchanged, report.commits) == (0, 2, 0)
    assert documents.operations.writes == 0
    assert len((await named(records, "Ana Profile")).history.marks) == 2


async def test_what_was_changed_here_since_is_not_overwritten(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE})
    await imported(documents, git.export())
    mine = await records.add(await named(records, "Ana Profile"), "Plays the oboe.")
    git.files({ANA: MOVED})
    report = await imported(documents, git.export())
    assert [(one.line, one.code) for one in report.errors] == [(2, "entity_differs")]
    assert texts(await named(records, "Ana Profile")) == texts(mine)


async def test_a_file_that_is_deleted_ends_and_one_that_returns_goes_on(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE, HEALTH: "# Health\n\nSleeps badly."})
    git.files({HEALTH: None})
    await imported(documents, git.export())
    cards, _ = await records.register.cards(ALICE, limit=10)
    assert [card.name for card in cards] == ["Ana Profile (Biographical Core)"]
    cards, _ = await records.register.cards(ALICE, limit=10, as_of=BEGAN + 1.0)
    assert len(cards) == 2
    git.files({HEALTH: "# Health\n\nSleeps well."})
    await imported(documents, git.export())
    health = await named(records, "Health")
    assert (texts(health), len(health.history.marks)) == (["Sleeps well."], 3)


async def test_a_renamed_file_stays_the_entity_that_it_is(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE})
    git("mv", ANA, "users/ana/memories/people/ana maria.md")
    git.files({})
    git.files({"users/ana/memories/people/ana maria.md": MOVED})
    await imported(documents, git.export("-M", "--all"))
    ana = await named(records, "Ana Profile")
    assert len(ana.history.marks) == 2
    assert "Lives in Lisbon" in texts(ana)


async def test_merges_tags_and_odd_names_are_read(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    odd = 'users/ana/memories/contexts/é "quoted"\t.md'
    git.files({ANA: PROFILE, odd: "# Odd\n\nA fact."})
    git("checkout", "-q", "-b", "memory/2026-01")
    git.files({ANA: MOVED})
    git("checkout", "-q", "main")
    git.files({HEALTH: "# Health\n\nSleeps badly."})
    git("merge", "-q", "--no-ff", "-m", "Merge", "memory/2026-01")
    git("tag", "-a", "-m", "Merge-2026-01", "v1")
    report = await imported(documents, git.export())
    assert report.errors == []
    assert texts(await named(records, "Odd")) == ["A fact."]
    assert "Lives in Lisbon" in texts(await named(records, "Ana Profile"))


async def test_one_persons_folder_alone_can_be_brought(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    git.files({ANA: PROFILE, "users/bob/memories/people/bob.md": "# Bob\n\nA stranger."})
    await imported(documents, git.export("--all", "--", "users/ana"))
    cards, _ = await records.register.cards(ALICE, limit=10)
    assert [card.name for card in cards] == ["Ana Profile (Biographical Core)"]


async def test_into_a_memory_with_a_log_of_its_own_it_comes_with_one_commit(
    documents: MeteredDocuments, records: Records, git: Git
) -> None:
    await records.create("Rex", "A dachshund.")
    git.files({ANA: PROFILE})
    git.files({ANA: MOVED})
    report = await imported(documents, git.export())
    assert (report.versions, report.commits, report.skipped, report.errors) == (2, 1, 2, [])
    log = await records.commits()
    assert [(one.sequence, one.kind) for one in log] == [(2, "import"), (1, "manual")]
    ana = await named(records, "Ana Profile")
    assert [mark.commit for mark in ana.history.marks] == [2, 2]
    assert [mark.recorded_at for mark in ana.history.marks] == [BEGAN, BEGAN + DAY]
    assert (await imported(documents, git.export())).versions_unchanged == 2
    assert len(await records.commits()) == 2


async def test_streams_without_texts_cut_short_or_of_something_else_are_told(git: Git) -> None:
    git.files({ANA: PROFILE})
    whole = git.export()
    without = await items(git.export("--no-data", "--all"))
    assert [one.message for one in without if isinstance(one, Refused)] == [
        "Of a file the stream has no text: export it with its data."
    ]
    for end in range(6, len(whole) - 30, 7):
        found = await items(whole[:end], piece=5)
        assert sum(isinstance(one, Refused) for one in found) <= 1
        assert not any(isinstance(one, Version) for one in found[1:]) or len(found) <= 3


@sqlite_only
@given(noise=st.binary(max_size=40), place=st.integers(0, 400), size=st.integers(1, 50))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_bytes_break_a_stream(
    documents: MeteredDocuments, noise: bytes, place: int, size: int
) -> None:
    data = HISTORY[:place] + noise + HISTORY[place:]
    for one in await items(b"blob\n" + data.removeprefix(b"blob\n"), piece=size):
        assert isinstance(one, Refused | Version | Committed)


def stream(*revisions: dict[str, bytes]) -> bytes:
    """As git writes it, texts inline."""
    parts = []
    for number, files in enumerate(revisions):
        parts.append(b"commit refs/heads/main\n")
        parts.append(b"committer A <a@b> %d +0000\ndata 0\n" % (BEGAN + number * DAY))
        for path, text in files.items():
            parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(text), text))
        parts.append(b"\n")
    return b"".join(parts)


HISTORY = stream({"a.md": b"# A\n\n- one\n- two\n"}, {"a.md": b"# A\n\n- one\n- three\n"})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.md": b"\xff\xfe"}, "A file is not UTF-8."),
        ({"a.md": b"x" * (fast_export.FILE_BYTES + 1)}, "A file is too long."),
        ({"a.md": b"- x\n\n" * (MAX_STATEMENTS + 1)}, "An entity takes 256 statements."),
        ({"a.md": b"- y" + b" \xc3\xa9" * 80_000}, "An entity takes 160 KiB."),
    ],
)
async def test_a_file_that_cannot_be_kept_takes_no_other_with_it(
    files: dict[str, bytes], message: str
) -> None:
    found = await items(stream({**files, "b.md": b"# B\n\nA fact."}))
    assert [one.message for one in found if isinstance(one, Refused)] == [message]
    assert [one.returning.content.name for one in found if isinstance(one, Version)] == ["B"]


async def test_a_commit_of_too_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_export, "MAX_CHANGES", 3)
    found = await items(stream({f"{n}.md": b"x" for n in range(4)}))
    assert isinstance(found[0], Refused)


async def test_texts_above_the_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    again = b"blob\nmark :1\ndata 5\n- abc\n" + stream({}, {}).replace(
        b"data 0\n", b"data 0\nM 100644 :1 a.md\nM 100644 :1 b.md\n"
    )
    assert sum(isinstance(one, Version) for one in await items(again)) == 2
    monkeypatch.setattr(fast_export, "READ_BYTES", 12)
    assert isinstance((await items(again))[-1], Refused)
    monkeypatch.setattr(fast_export, "HELD_BYTES", 4)
    (found,) = await items(again)
    assert isinstance(found, Refused)


async def test_files_above_what_a_memory_takes_are_refused_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repository, "MAX_ENTITIES", 2)
    found = await items(stream({f"{n}.md": b"A fact." for n in range(4)}, {"0.md": b"Another."}))
    assert sum(isinstance(one, Version) for one in found) == 3
    assert sum(isinstance(one, Refused) for one in found) == 2


async def test_what_a_future_commit_says_is_refused(documents: MeteredDocuments) -> None:
    later = HISTORY.replace(b"%d" % BEGAN, b"%d" % (int(NOON) + DAY))
    report = await imported(documents, later)
    assert (report.versions, {one.code for one in report.errors}) == (
        0,
        {"invalid_line", "version_missing"},
    )


STATEMENTS = st.lists(
    st.tuples(st.sampled_from(["facts", "work"]), st.sampled_from("abcdef")), max_size=8
)


@given(versions=st.lists(STATEMENTS, min_size=1, max_size=6))
@settings(deadline=None)
async def test_at_each_commit_holds_what_the_file_said(
    versions: list[list[tuple[str, str]]],
) -> None:
    written = [
        b"# A\n\n" + b"".join(f"## {block}\n- {text}\n".encode() for block, text in one)
        for one in versions
    ]
    found = await items(stream(*({"a.md": text} for text in written)))
    last = [one for one in found if isinstance(one, Version)][-1].returning.content
    for number, said in enumerate(versions):
        held = last.holding(BEGAN + number * DAY)
        assert sorted((one.block, one.text) for one in held) == sorted(said)
    successors = [one.superseded_by for one in last.statements if one.superseded_by]
    assert len(set(successors)) == len(successors)
    assert set(successors) <= {one.id for one in last.statements}


def test_front_matter_names_the_entity_and_derived_blocks_are_left_out() -> None:
    text = "---\ntitle: Rex\nstatus: active\n---\n# Person: Rex\nBarks.\n## SEMANTIC INDEX\n{}\n"
    note = note_of("memories/people/rex.md", text)
    assert (note.name, note.kind) == ("Rex", "person")
    assert note.statements == (
        ("front matter", "title: Rex"),
        ("front matter", "status: active"),
        ("facts", "Barks."),
    )


def test_a_long_paragraph_is_cut_between_words() -> None:
    note = note_of("a.md", "word " * 1000)
    assert [len(text) for _, text in note.statements] == [999, 999, 999, 999, 999]
    assert note.name == "a"
