"""Payloads can be read with the key, by nobody without it, and by nobody at all once erased."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from casemate.errors import StoreError, UsageError
from casemate.store.payloads import Vault

KEY = bytes(range(32))
DAY = 86_400 * 1_000_000
NOW = 1_795_230_725_000_000
BODY = b'{"inputs": [1, 2, 3]}'
JSON = "application/json"


def ident(number):
    return f"{number:032x}"


@pytest.fixture
def vault(tmp_path):
    return Vault(tmp_path / "payloads", KEY, reserve=0)


def files(vault):
    return [path for path in vault._folder.rglob("*") if path.is_file()]


def test_what_was_kept_comes_back(vault):
    assert vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    assert vault.keep(ident(1), "eve", JSON, BODY, at=NOW + 5)
    assert vault.get(ident(1), "eve") == (JSON, BODY, NOW, False)
    assert len(files(vault)) == 2  # the payload and its subject's key


def test_neither_payload_nor_name_can_be_read_in_the_files(vault):
    vault.keep(ident(1), "eve@example.org", JSON, b"top-secret " * 100, at=NOW)
    for path in files(vault):
        assert b"secret" not in path.read_bytes()
        assert "eve" not in str(path.relative_to(vault._folder))
        assert path.stat().st_mode & 0o077 == 0


def test_erasing_one_subject_leaves_the_others(vault):
    for number in range(5):
        vault.keep(ident(number), "eve", JSON, BODY, at=NOW + number * DAY)
    vault.keep(ident(9), "ana", JSON, BODY, at=NOW)
    assert vault.erase("eve") == 5
    assert vault.erase("eve") == 0
    assert vault.erase("nobody") == 0
    with pytest.raises(StoreError, match="not here"):
        vault.get(ident(1), "eve")
    assert vault.get(ident(9), "ana").body == BODY
    assert len(files(vault)) == 2


def test_copies_of_the_payloads_are_mute_once_the_key_is_gone(vault, tmp_path):
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    (payload,) = [path for path in files(vault) if path.name != "key"]
    copy = tmp_path / "backup"
    shutil.copy(payload, copy)
    vault.erase("eve")
    vault.keep(ident(2), "eve", JSON, BODY, at=NOW)  # comes again, with a key of its own
    payload.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(copy, payload)
    with pytest.raises(StoreError, match="cannot be read"):
        vault.get(ident(1), "eve")
    assert vault.get(ident(2), "eve").body == BODY


def test_an_erasure_by_another_process_is_heeded(vault):
    other = Vault(vault._folder, KEY, reserve=0)
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    other.erase("eve")
    vault.keep(ident(2), "eve", JSON, BODY, at=NOW)
    assert other.get(ident(2), "eve").body == BODY


def test_another_key_opens_nothing_and_finds_nobody(vault):
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    stranger = Vault(vault._folder, bytes(32), reserve=0)
    with pytest.raises(StoreError, match="not here"):
        stranger.get(ident(1), "eve")
    stranger._names = vault._names
    with pytest.raises(StoreError, match="another key"):
        stranger.get(ident(1), "eve")


def test_a_payload_under_another_name_or_subject_is_refused(vault):
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    (payload,) = [path for path in files(vault) if path.name != "key"]
    payload.rename(payload.with_name(ident(2)))
    with pytest.raises(StoreError, match="changed"):
        vault.get(ident(2), "eve")


@pytest.mark.parametrize("place", [0, 8, 20, -1])
def test_a_changed_byte_is_seen(vault, place):
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    (payload,) = [path for path in files(vault) if path.name != "key"]
    data = bytearray(payload.read_bytes())
    data[place] ^= 1
    payload.write_bytes(data)
    with pytest.raises(StoreError, match="changed"):
        vault.get(ident(1), "eve")


def test_a_damaged_key_keeps_nothing_and_says_so(vault):
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    (key,) = [path for path in files(vault) if path.name == "key"]
    key.write_bytes(b"")
    with pytest.raises(StoreError, match="key of a subject"):
        vault.keep(ident(2), "eve", JSON, BODY, at=NOW)


@pytest.mark.parametrize("cut", [0, 5, 12, 30])
def test_a_cut_file_is_seen(vault, cut):
    vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    for path in files(vault):
        data = path.read_bytes()
        path.write_bytes(data[:cut])
        with pytest.raises(StoreError):
            vault.get(ident(1), "eve")
        path.write_bytes(data)
    assert vault.get(ident(1), "eve").body == BODY


def test_payloads_expire_day_by_day_and_empty_subjects_with_them(tmp_path):
    vault = Vault(tmp_path / "payloads", KEY, days=30, reserve=0)
    for number in range(5):
        vault.keep(ident(number), "eve", JSON, BODY, at=NOW + number * DAY)
    vault.keep(ident(8), "ana", JSON, BODY, at=NOW)
    assert vault.expire(NOW + 30 * DAY) == 0
    assert vault.expire(NOW + 31 * DAY) == 2
    assert vault.expire(NOW + 31 * DAY) == 0
    assert vault.get(ident(1), "eve").body == BODY
    assert vault.expire(NOW + 99 * DAY) == 4
    assert files(vault) == []


def test_redaction_comes_before_keeping(tmp_path):
    vault = Vault(tmp_path / "payloads", KEY, redact=("income",), reserve=0)
    assert vault.keep(ident(1), "eve", JSON, b'{"income": 777, "age": 4}', at=NOW)
    assert vault.get(ident(1), "eve") == (
        JSON, b'{"income":"[redacted]","age":4}', NOW, True,
    )  # fmt: skip
    assert not vault.keep(ident(2), "eve", JSON, b'{"instances": [[777, 4]]}', at=NOW)
    assert vault.keep(
        ident(3), "eve", JSON, b'{"instances": [[777, 4]]}', at=NOW, columns=("income", "age")
    )
    assert b"777" not in vault.get(ident(3), "eve").body
    assert not vault.keep(ident(4), "eve", "application/octet-stream", b"777", at=NOW)


def test_many_at_once_agree_on_one_key(vault):
    others = [Vault(vault._folder, KEY, reserve=0) for _ in range(8)]

    def keep(number):
        return others[number % 8].keep(ident(number), "eve", JSON, BODY, at=NOW)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(keep, range(64)))
    assert all(vault.get(ident(number), "eve").body == BODY for number in range(64))
    assert len(files(vault)) == 65


def test_hostile_names_stay_inside_the_folder(vault, tmp_path):
    for number, name in enumerate(("../../etc", "a/b", "", "\x00", "\ud800", "A" * 10**6, "key")):
        assert vault.keep(ident(number), name, "x" * 10**5, BODY, at=NOW)
        assert vault.get(ident(number), name).body == BODY
    assert {path.name for path in tmp_path.iterdir()} == {"payloads"}
    for digest in ("../x", "", "key", "Z" * 32, "0" * 31, "0" * 32 + "\n"):
        with pytest.raises(StoreError, match="not the digest"):
            vault.keep(digest, "eve", JSON, BODY, at=NOW)


def test_the_record_needs_the_disk_more(tmp_path):
    vault = Vault(tmp_path / "payloads", KEY, reserve=2**60)
    with pytest.raises(StoreError, match="almost full"):
        vault.keep(ident(1), "eve", JSON, BODY, at=NOW)
    assert list((tmp_path / "payloads").rglob("key")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be kept"):
        Vault(tmp_path / "payloads", KEY, reserve=0).keep(ident(1), "eve", JSON, BODY, at=NOW)


def test_a_file_in_the_way_is_said(tmp_path):
    Path(tmp_path / "payloads").write_text("")
    vault = Vault(tmp_path / "payloads", KEY, reserve=0)
    with pytest.raises(StoreError, match="cannot be kept"):
        vault.keep(ident(1), "eve", JSON, BODY, at=NOW)


def test_settings_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(UsageError, match="bytes instead of 32"):
        Vault(tmp_path, b"short")
    with pytest.raises(UsageError, match="at least one day"):
        Vault(tmp_path, KEY, days=0)
