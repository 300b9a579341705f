"""The local launcher: what it prints, and how it empties the store."""

import asyncio
import shlex
from pathlib import Path
from typing import Any

import pytest

import serve
from gateway.documents.base import Set
from gateway.documents.sqlite import SqliteDocuments
from gateway.settings import Settings

UPSTREAM = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def nothing_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def greeted(**given: Any) -> tuple[str, str, str]:
    """The greeting, and of its request as a shell reads it: the credential and the body."""
    told = serve.greeting(Settings(**given), 8080)
    words = shlex.split(told.partition("  try ")[2])
    header, body = words[words.index("-H") + 1], words[words.index("-d") + 1]
    return told, header.removeprefix("Authorization: Bearer "), body


def test_the_development_issuer_signs_the_printed_credential(tmp_path: Path) -> None:
    told, credential, body = greeted(
        development_issuer=True,
        google_client_id="audience",
        api_keys="me:sk-me",
        development_key_file=tmp_path / "key.pem",
    )
    assert credential.count(".") == 2
    assert "sk-me" not in told
    assert '"model": "preview"' in body


@pytest.mark.parametrize(
    ("keys", "printed"),
    [
        ("me:sk-me,you:sk-you", "sk-me"),
        (" , sk-bare", "sk-bare"),
        ("me: a:b", "a:b"),
        ("me:it's$HOME`x`", "it's$HOME`x`"),
    ],
)
def test_without_the_issuer_a_configured_key_is_printed(keys: str, printed: str) -> None:
    told, credential, _ = greeted(api_keys=keys, google_client_id="audience")
    assert credential == printed
    assert "the first of API_KEYS" in told
    assert "sk-you" not in told


def test_with_google_alone_the_token_is_the_users_to_put_in() -> None:
    told, credential, _ = greeted(google_client_id="audience")
    assert '"Authorization: Bearer $ID_TOKEN"' in told
    assert credential == "$ID_TOKEN"
    assert "Google Identity Services" in told


def test_an_upstream_is_not_asked_for_the_preview() -> None:
    told, _, body = greeted(api_keys="k", upstream_base=UPSTREAM)
    assert "preview" not in told
    assert f'"model": "{serve.EXAMPLE_MODEL}"' in body
    assert "an example" in told
    assert '"model": "preview"' in greeted(api_keys="k", upstream_base="preview:")[2]


def test_reset_empties_the_store_that_somebody_else_has_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "memory.db"
    settings = Settings(store_url=f"sqlite:///{file}")

    async def told() -> None:
        running = SqliteDocuments(str(file))
        first = (await running.commit(Set("c/a", {"text": "canary"})))[0].version
        await asyncio.to_thread(serve.reset, settings)
        assert await running.list("c") == []
        again = (await running.commit(Set("c/a", {"n": 1})))[0].version
        assert int(again) > int(first)
        other = SqliteDocuments(str(file))
        (found,) = await other.get("c/a")
        assert found is not None
        assert found.fields == {"n": 1}
        await other.close()
        await running.close()

    asyncio.run(told())
    assert capsys.readouterr().out == f"emptied {file}\n"
    kept = [path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith(file.name)]
    assert not any(b"canary" in content for content in kept)


def test_reset_makes_no_file(tmp_path: Path) -> None:
    serve.reset(Settings(store_url=f"sqlite:///{tmp_path / 'none.db'}"))
    assert list(tmp_path.iterdir()) == []


def test_reset_refuses_what_is_no_local_file() -> None:
    with pytest.raises(SystemExit, match="local SQLite store only"):
        serve.reset(Settings(store_url="firestore://project/database"))


def test_reset_says_when_the_file_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(SystemExit, match="no database of ours"):
        serve.reset(Settings(store_url=f"sqlite:///{file}"))
