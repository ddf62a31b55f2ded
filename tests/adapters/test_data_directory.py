"""Generated secrets, and the one server of a data directory."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.adapters.machine.data_directory import (
    AlreadyServed,
    DataDirectoryError,
    DataDirectoryUnusable,
    generated_secrets,
    refuse_without_secrets,
    sole_server,
)
from service.adapters.machine.embedded import EmbeddedServer


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = generated_secrets(tmp_path / "data")

    assert generated_secrets(tmp_path / "data") == first
    assert len(first.jwt_secret) >= 32
    assert first.jwt_secret != first.secret_key


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    generated_secrets(tmp_path)

    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "secrets.json"]


def test_secrets_do_not_show_in_a_traceback(tmp_path: Path) -> None:
    made = generated_secrets(tmp_path)

    assert made.jwt_secret not in repr(made)
    assert made.secret_key not in repr(made)


def test_all_who_ask_at_once_get_the_same_secrets(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(generated_secrets, [tmp_path] * 64))

    assert len(made) == 1


def test_lost_secrets_are_not_replaced_beside_a_database_that_needs_them(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()

    with pytest.raises(DataDirectoryError, match=r"its secrets.json is gone. Restore that file"):
        generated_secrets(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "null",
        "[" * 100_000,
        '{"jwt_secret": "only"}',
        '{"jwt_secret": 1, "secret_key": 2}',
        '{"jwt_secret": null, "secret_key": null}',
        '{"jwt_secret": "", "secret_key": ""}',
        '{"jwt_secret": "' + r"\udcff" * 40 + '", "secret_key": "' + r"\udcff" * 40 + '"}',
    ],
    ids=range(10),
)
def test_damaged_secrets_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "secrets.json").write_text(content)

    with pytest.raises(DataDirectoryError, match="is damaged"):
        generated_secrets(tmp_path)


def test_a_disk_that_takes_nothing_more_is_told_when_a_server_claims_the_directory(tmp_path: Path) -> None:
    (tmp_path / "serve.lock").symlink_to("/dev/full")

    with pytest.raises(DataDirectoryUnusable, match=r"Set RELEVO_DATA_DIR to"), sole_server(tmp_path):
        pass


@pytest.mark.parametrize("use", [EmbeddedServer, generated_secrets, refuse_without_secrets])
def test_a_directory_in_one_that_is_gone_is_told(
    use: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(DataDirectoryError, match="RELEVO_DATA_DIR"):
        use(Path(".relevo"))


@pytest.mark.parametrize("use", [EmbeddedServer, generated_secrets, refuse_without_secrets])
def test_links_that_lead_in_a_circle_are_told(use: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")

    with pytest.raises(DataDirectoryError, match="RELEVO_DATA_DIR"):
        use(tmp_path / "circle" / "data")


def test_a_second_server_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    with (
        sole_server(tmp_path),
        pytest.raises(AlreadyServed, match=rf"served by process {os.getpid()} already"),
        sole_server(tmp_path),
    ):
        pass


def test_a_server_may_follow_one_that_has_left(tmp_path: Path) -> None:
    with sole_server(tmp_path):
        pass

    with sole_server(tmp_path):
        pass
