"""The stage as its callers see it: verdicts, coverage, trust, and nothing that ends a scan."""

import gzip
import io
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest

from casemate.catalog.entries import Format
from casemate.catalog.loader import entries
from casemate.errors import UsageError
from casemate.records.codec import decode, encode
from casemate.scan import scan, scan_file
from casemate.scan.walk import Walk
from tests.corpus.inert import HARMLESS, PROTOCOL_0, PROTOCOL_4
from tests.corpus.models import archive
from tests.corpus.zips import Member, zipped


@pytest.fixture
def verdict(tmp_path):
    def of(data, name="f.bin", **how):
        path = tmp_path / name
        path.write_bytes(data)
        report = scan_file(path, root=tmp_path, **how)
        (found,) = report.verdicts
        return found, report.findings

    return of


def test_clean_file(verdict):
    found, findings = verdict(HARMLESS)
    assert found.answer == "yes"
    assert findings == ()
    assert found.target.uri == "f.bin"
    assert found.target.digest.startswith("sha256:")
    assert found.measures == {
        "format": "pickle",
        "bytes": 41,
        "bytes_scanned": 41,
        "bytes_data": 0,
        "bytes_refused": 0,
        "incomplete": 0,
    } | {"bytes": len(HARMLESS), "bytes_scanned": len(HARMLESS)}


@pytest.mark.parametrize(
    "name", ["a.txt", "a.png", "a.json", "a", "a.safetensors", "a.pkl", "a.bin"]
)
@pytest.mark.parametrize("data", [PROTOCOL_0, PROTOCOL_4], ids=["0", "4"])
def test_names_have_no_say(verdict, name, data):
    found, findings = verdict(data, name)
    assert found.answer == "no"
    assert "critical" in {each.severity for each in findings}


WRAPPED = {
    "gzip": gzip.compress(PROTOCOL_4),
    "zip": zipped(Member("readme.md", PROTOCOL_4)),
    "zip in zip": zipped(Member("a", zipped(Member("b", PROTOCOL_4)), deflate=True)),
    "behind junk": bytes(range(256)) + PROTOCOL_4,
    "behind an image": b"\x89PNG\r\n\x1a\n" + bytes(99) + PROTOCOL_4,
    "stacked": HARMLESS + PROTOCOL_4,
    "before an archive": PROTOCOL_4 + zipped(Member("a", b"x")),
    "behind an archive": zipped(Member("a", b"x")) + PROTOCOL_4,
    "in a comment": zipped(Member("a", b"x"), comment=PROTOCOL_4),
    "unlisted": zipped(Member("a", b"x"), Member("b", PROTOCOL_4, listed=False)),
    "second of a name": zipped(Member("a", HARMLESS), Member("a", PROTOCOL_4)),
    "called encrypted": zipped(Member("a", PROTOCOL_4, local={"flags": 1}, central={"flags": 1})),
    "wrong checksum": zipped(Member("a", PROTOCOL_4, local={"crc": 1}, central={"crc": 1})),
    "in a checkpoint": archive(Member("m/extra/notes.txt", PROTOCOL_4)),
    "as a storage": archive(Member("m/data/0", PROTOCOL_4)),
    "in a pickle": pickle.dumps({"blob": 1}) + pickle.dumps([1]) + PROTOCOL_0,
    "cut off": gzip.compress(PROTOCOL_4 + b"\x07" * 5000)[:-12],
    "wrong gzip checksum": gzip.compress(PROTOCOL_4)[:-8] + b"\x07" * 8,
    "as the last words of a text": b"some notes\n" + PROTOCOL_0 + b"\n",
}


@pytest.mark.parametrize("how", WRAPPED)
def test_no_wrapping_hides_a_program(verdict, how):
    found, findings = verdict(WRAPPED[how])
    assert found.answer == "no"
    assert [each for each in findings if each.rule == "pickle-runs-shell"], findings


def test_text_about_pickles_is_text(verdict):
    said = b"An example:\n\n    " + PROTOCOL_0.replace(b"\n", b"\n    ") + b"\n\nDo not load it.\n"
    assert verdict(said)[0].answer == "yes"
    assert verdict(b"Run this:\n" + PROTOCOL_0 + b"\nand see.\n")[0].answer == "yes"


def test_programs_behind_arrays_are_seen(verdict):
    out = io.BytesIO()
    joblib.dump([np.zeros(5000)], out)
    found, findings = verdict(out.getvalue() + PROTOCOL_4)
    assert found.measures["bytes_data"] >= 40_000
    assert findings


def test_unknown_is_never_clean(verdict):
    found, findings = verdict(bytes(range(1, 200)))
    assert found.answer == "cannot-tell"
    assert found.reasons
    assert [each.rule for each in findings] == ["format-unknown"]


def test_findings_and_incomplete_at_once(verdict):
    found, _ = verdict(PROTOCOL_4 + bytes(range(200, 0, -1)))
    assert found.answer == "no"
    assert any(reason.startswith("incomplete") for reason in found.reasons)


def test_a_reader_that_fails_leaves_the_file_incomplete(verdict, monkeypatch):
    def fail(self, source, member=None, depth=0, *, opaque=False):
        raise RecursionError("too deep")

    monkeypatch.setattr(Walk, "read", fail)
    found, findings = verdict(HARMLESS)
    assert found.answer == "no"
    assert found.measures["bytes_refused"] == len(HARMLESS)
    assert [each.rule for each in findings] == ["scan-incomplete"]


def test_verdict_does_not_depend_on_what_was_scanned_before(tmp_path):
    for index, data in enumerate([*WRAPPED.values(), HARMLESS]):
        (tmp_path / f"{index:03}").write_bytes(data)
    together = scan([tmp_path], root=tmp_path)
    alone = [scan_file(path, root=tmp_path) for path in sorted(tmp_path.iterdir(), reverse=True)]
    assert together.verdicts == tuple(report.verdicts[0] for report in reversed(alone))
    assert together.findings == tuple(f for report in reversed(alone) for f in report.findings)


def test_records_survive_their_own_json(tmp_path):
    for index, data in enumerate(WRAPPED.values()):
        (tmp_path / str(index)).write_bytes(data)
    report = scan([tmp_path], root=tmp_path)
    for record in (*report.verdicts, *report.findings):
        assert decode(encode(record)) == record


def test_progress_and_digests(tmp_path):
    (tmp_path / "a").write_bytes(HARMLESS)
    seen = []
    report = scan([tmp_path], root=tmp_path, digest=False, progress=lambda *said: seen.append(said))
    assert seen == [("a", 0, 1), ("", 1, 1)]
    assert report.verdicts[0].target.digest is None


def test_a_vouched_import_is_let_pass_and_only_there(verdict):
    unknown = b"\x80\x02cacme_models\nNet\n)\x81."
    found, findings = verdict(unknown)
    assert found.answer == "no"
    assert verdict(unknown, trusted={"acme_models.Net": "ours"})[0].answer == "yes"
    assert verdict(unknown, trusted={found.target.digest: "ours"})[0].answer == "yes"
    assert verdict(PROTOCOL_4, trusted={"os.system": "no"})[0].answer == "no"
    assert findings


def test_folders_are_not_files(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        scan_file(tmp_path)


def test_unreadable_files_are_incomplete(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (found,) = scan([tmp_path], root=tmp_path).verdicts
    assert found.answer == "cannot-tell"


def test_every_format_has_a_reader_or_says_that_it_has_none():
    for entry in entries("formats", Format).values():
        unread = "does not read this format yet" in entry.misses
        assert unread == (entry.entry is None and entry.executes != "no"), entry.id


def test_scanning_imports_no_framework(tmp_path):
    for index, data in enumerate(WRAPPED.values()):
        (tmp_path / str(index)).write_bytes(data)
    code = (
        "import sys; from casemate.scan import scan; scan(sys.argv[1:]);"
        "print(sorted({'numpy','torch','onnx','joblib','sklearn','rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.pyc", b"\xa7\r\r\n" + bytes(12) + b"\xe3" + bytes(40)), ("a.so", b"\x7fELF" + bytes(60))],
)
def test_code_under_its_own_name_is_unread_and_no_more(verdict, name, data):
    found, findings = verdict(data, name)
    assert found.answer == "cannot-tell"
    assert [each.rule for each in findings] == ["format-not-read"]
