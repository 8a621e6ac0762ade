"""What the sealer is interrupted in, it does again; what it has sealed is what was appended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.errors import StoreError, UsageError
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.keys import signing_key
from casemate.store.telemetry.query import Telemetry
from casemate.store.telemetry.seal import expire, seal
from casemate.store.telemetry.sink import Filter
from casemate.store.telemetry.verify import verify
from tests.store.telemetry.places import place, sealed
from tests.store.telemetry.samples import START, WRITER, events


def everything(folder):
    return list(Telemetry(folder).scan(Filter()))


def test_what_is_sealed_is_what_was_appended(tmp_path):
    made, sent = sealed(tmp_path)
    assert sorted(everything(made.folder), key=lambda e: (e.writer, e.sequence)) == sent
    assert list(Telemetry(made.folder).tail({})) == sent
    assert not list((made.folder / "journal").iterdir())
    found = verify(made.folder, witness=made.witness, public_key=made.public, events=True)
    assert (found.answer, found.faults, found.events) == ("whole", (), 200)


def test_a_living_writer_is_sealed_up_to_its_last_whole_file(tmp_path):
    made, sent = place(tmp_path), events(240)
    journal = Journal(made.folder, WRITER, roll_bytes=20_000, window=0)
    query, seen = Telemetry(made.folder), []
    for begin in range(0, 240, 20):
        journal.append(sent[begin : begin + 20])
        journal.flush()
        if begin % 60 == 0:
            made.seal()
        seen += query.tail({WRITER: seen[-1].sequence} if seen else {})
        assert everything(made.folder) == sent[: begin + 20]
    assert seen == sent
    assert len(made.seal().segments) + 1
    assert verify(made.folder, witness=made.witness).answer == "whole"
    journal.close()
    made.seal()
    assert everything(made.folder) == sent
    assert verify(made.folder, witness=made.witness).faults == ()


def test_segments_are_split_at_their_largest(tmp_path):
    made, sent = place(tmp_path), events(100)
    journal = Journal(made.folder, WRITER)
    journal.append(sent)
    journal.close()
    assert [s.events for s in made.seal(largest=30).segments] == [30, 30, 30, 10]
    assert everything(made.folder) == sent
    assert verify(made.folder, witness=made.witness, events=True).answer == "whole"


def killed_after(root, calls):
    """Seal in a child that dies before its n-th call into the system; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = calls

    def dying(real):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return real(*args, **kwargs)

        return call

    for name in ("fsync", "write", "ftruncate"):
        setattr(os, name, dying(getattr(os, name)))
    Path.rename = dying(Path.rename)
    Path.unlink = dying(Path.unlink)
    try:
        place(root).seal(largest=25)
    except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
        os._exit(1)
    os._exit(0)


def test_a_sealer_killed_at_any_step_loses_and_doubles_nothing(tmp_path):
    steps = 0
    while True:
        root = tmp_path / str(steps)
        made, sent = sealed(root, rounds=1)
        more = events(60, writer="w-00000000000000ff", seed=9)
        journal = Journal(made.folder, "w-00000000000000ff", window=0)
        journal.append(more)
        journal.close()
        code = killed_after(root, steps)
        assert everything(made.folder) == sorted(
            sent + more, key=lambda e: (e.at, e.writer, e.sequence)
        )
        left = verify(made.folder, witness=made.witness, public_key=made.public)
        kinds = {fault.kind for fault in left.faults}
        assert kinds <= {"unsigned", "torn", "unsealed", "unwitnessed"}, kinds
        made.seal()
        found = verify(made.folder, witness=made.witness, public_key=made.public, events=True)
        assert (found.answer, found.faults, found.events) == ("whole", (), 100)
        if code == 0:
            break
        assert code == 9
        steps += 1
    assert steps > 12


def test_two_sealers_at_once_seal_each_event_once(tmp_path):
    made = place(tmp_path)
    sent = []
    for number in range(4):
        writer = f"w-000000000000000{number}"
        journal = Journal(made.folder, writer, window=0)
        batch = events(150, writer=writer)
        journal.append(batch)
        journal.close()
        sent += batch
    code = (
        "import sys; from pathlib import Path; from tests.store.telemetry.places import place\n"
        "made = place(Path(sys.argv[1])); [made.seal(largest=100) for _ in range(3)]"
    )
    sealers = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(2)]
    assert [sealer.wait(120) for sealer in sealers] == [0, 0]
    made.seal()
    assert list(Telemetry(made.folder).tail({})) == sent
    assert verify(made.folder, witness=made.witness, events=True).answer == "whole"


def test_a_log_that_was_changed_is_not_gone_on_with(tmp_path):
    made, _ = sealed(tmp_path, rounds=3)
    leaves = made.folder / "log" / "leaves.jsonl"
    checkpoints = made.folder / "log" / "checkpoints"
    whole = leaves.read_bytes(), checkpoints.read_bytes()
    first = checkpoints.read_bytes().split(b"\n\n")
    one = b"\n\n".join(first[:2]) + b"\n\n"
    for change in (
        lambda: leaves.write_bytes(whole[0].replace(b'"events":40', b'"events":41', 1)),
        lambda: leaves.write_bytes(whole[0][: whole[0].find(b"\n") + 1]),
        lambda: checkpoints.write_bytes(one),  # cut back to what was true once: the witness knows
    ):
        leaves.write_bytes(whole[0])
        checkpoints.write_bytes(whole[1])
        change()
        with pytest.raises(StoreError, match=r"changed|go on"):
            made.seal()
        assert len(list((made.folder / "segments").iterdir())) == 3
    leaves.write_bytes(whole[0])
    checkpoints.write_bytes(whole[1])
    with pytest.raises(StoreError, match="not signed by this key"):
        seal(made.folder, signing_key(tmp_path / "other.pem", made.folder))
    made.seal()


def test_a_segment_put_in_place_of_a_leftover_is_neither_taken_nor_deleted(tmp_path):
    made, _ = sealed(tmp_path, rounds=2)
    segments = made.folder / "segments"
    forged = segments / "0000000002.parquet"
    forged.write_bytes((segments / "0000000001.parquet").read_bytes())
    with pytest.raises(StoreError, match="in no leaf"):
        made.seal()
    assert forged.exists()


def test_an_unreachable_witness_is_told_later(tmp_path):
    made, _ = sealed(tmp_path, rounds=1)
    away = tmp_path / "away"
    made.witness.rename(away)
    made.witness.write_text("not a folder")
    journal = Journal(made.folder, "w-00000000000000aa")
    journal.append(events(5, writer="w-00000000000000aa"))
    journal.close()
    assert "File exists" in made.seal().unwitnessed
    made.witness.unlink()
    away.rename(made.witness)
    found = verify(made.folder, witness=made.witness)
    assert [f.kind for f in found.faults] == ["unwitnessed"]
    assert made.seal().unwitnessed is None
    assert verify(made.folder, witness=made.witness).answer == "whole"


def test_clocks_that_jump_are_noted_and_break_nothing(tmp_path):
    made = place(tmp_path)
    sent = events(10) + events(10, first=10, start=START - 7200 * 10**6)
    journal = Journal(made.folder, WRITER)
    journal.append(sent)
    journal.close()
    now = START * 1000
    made.seal(clock=lambda: now)
    journal = Journal(made.folder, "w-00000000000000aa")
    journal.append(events(1, writer="w-00000000000000aa"))
    journal.close()
    made.seal(clock=lambda: now - 3600 * 10**9)
    found = verify(made.folder, witness=made.witness)
    assert found.answer == "whole"
    words = [fault.what for fault in found.faults]
    assert words[0].startswith(f"the clock of {WRITER} went back by 7199 s at 10")
    assert words[1] == "the sealer's clock went back by 3600 s"
    assert list(Telemetry(made.folder).tail({}))[:20] == sent


def test_expired_segments_go_and_the_log_says_so(tmp_path):
    made, _ = sealed(tmp_path, rounds=1)
    for number, start in enumerate((START + 10**9, START + 10**12), 1):
        writer = f"w-00000000000000b{number}"
        journal = Journal(made.folder, writer)
        journal.append(events(5, writer=writer, start=start))
        journal.close()
        made.seal()
    gone = expire(
        made.folder, made.key, START + 10**10, reason="kept for 30 days", witness=made.witness
    )
    assert gone == 2
    assert [e.writer for e in everything(made.folder)] == ["w-00000000000000b2"] * 5
    found = verify(made.folder, witness=made.witness)
    assert (found.answer, found.segments, found.faults) == ("whole", 1, ())
    next((made.folder / "segments").iterdir()).unlink()
    assert verify(made.folder, witness=made.witness).answer == "changed"


def test_a_full_disk_stops_sealing_and_loses_nothing(tmp_path):
    made, sent = place(tmp_path), events(2000)
    journal = Journal(made.folder, WRITER)
    journal.append(sent)
    journal.close()
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.store.telemetry.places import place\n"
        "from casemate.errors import StoreError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: place(Path(sys.argv[1])).seal()\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert "File too large" in done.stdout, done.stderr
    assert list(Telemetry(made.folder).tail({})) == sent
    made.seal()
    assert list(Telemetry(made.folder).tail({})) == sent
    assert verify(made.folder, witness=made.witness).answer == "whole"


def test_the_signing_key_is_guarded(tmp_path):
    telemetry = tmp_path / "telemetry"
    with pytest.raises(UsageError, match="lies within"):
        signing_key(telemetry / "log" / "key.pem", telemetry)
    path = tmp_path / "key.pem"
    key = signing_key(path, telemetry)
    assert path.stat().st_mode & 0o777 == 0o600
    again = signing_key(path, telemetry)
    assert again.private_bytes_raw() == key.private_bytes_raw()
    path.chmod(0o640)
    with pytest.raises(UsageError, match="others may read"):
        signing_key(path, telemetry)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(UsageError, match="no private key"):
        signing_key(path, telemetry)
