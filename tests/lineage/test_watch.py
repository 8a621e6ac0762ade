"""The watch: what any program of a command opens is seen, and none of them notices."""

import os
import select
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.lineage import launch
from casemate.lineage.digests import of_file
from casemate.lineage.files import Files
from casemate.lineage.watch import Watch, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason="the kernel has no such filters")
PYTHON = [sys.executable, "-I", "-S", "-c"]


def watched(tmp_path, command, code=0, **variables):
    """Run under watch; return names of (inputs, outputs) in the folder."""
    files = Files(lambda path: not path.startswith(f"{tmp_path}/"))
    watch = Watch(files)
    process = watch.start(command, env={**os.environ, "D": str(tmp_path), **variables})
    assert process.wait(60) == code
    assert watch.wait(60)
    assert watch.refused is None
    names = (
        [Path(one.path).name for one in files.inputs()],
        [Path(one).name for one in files.outputs()],
    )
    return (files, *names)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    return tmp_path


SCRIPTS = {
    "shell": ("bash", "-c", "cat $D/in.csv > $D/out.txt"),
    "relative": ("bash", "-c", "cd $D && cat ./in.csv > x/../out.txt"),
    "renamed": ("bash", "-c", "cat $D/in.csv > $D/part && mv $D/part $D/out.txt"),
    "folder renamed": ("bash", "-c", "mkdir $D/p && cat $D/in.csv > $D/p/out.txt && mv $D/p $D/q"),
    "linked": ("bash", "-c", "cat $D/in.csv > $D/part && ln $D/part $D/out.txt && rm $D/part"),
    "grandchild": ("bash", "-c", "bash -c 'bash -c \"cat $D/in.csv\"' | tee $D/out.txt >/dev/null"),
    "background": ("bash", "-c", "(sleep 0.2; cat $D/in.csv > $D/out.txt) & exit 0"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_any_program_reads_and_writes_is_seen(data, name):
    (data / "x").mkdir()
    _, inputs, outputs = watched(data, SCRIPTS[name])
    assert (inputs, outputs) == (["in.csv"], ["out.txt"])


def test_what_threads_and_forks_open_by_folder_descriptor_is_seen(data):
    script = """
import os, threading
folder = os.open(os.environ["D"], os.O_RDONLY)
def copy():
    body = os.read(os.open("in.csv", os.O_RDONLY, dir_fd=folder), 99)
    os.write(os.open("out.txt", os.O_WRONLY | os.O_CREAT, dir_fd=folder), body)
thread = threading.Thread(target=copy); thread.start(); thread.join()
if not os.fork():
    os.write(os.open("child.txt", os.O_WRONLY | os.O_CREAT, dir_fd=folder), b"x")
    os._exit(0)
os.wait()
"""
    _, inputs, outputs = watched(data, [*PYTHON, script])
    assert (inputs, outputs) == (["in.csv"], ["child.txt", "out.txt"])


def test_what_was_read_is_known_though_it_is_overwritten_or_removed(data):
    held = of_file(data / "in.csv")
    for script in (
        "cat $D/in.csv >/dev/null; echo new > $D/in.csv",
        "cat $D/in.csv >/dev/null; echo new > $D/part; mv $D/part $D/in.csv",
        "cat $D/in.csv >/dev/null; rm $D/in.csv",
        "cat $D/in.csv >/dev/null; truncate -s 1 $D/in.csv",
        "cat $D/in.csv >/dev/null; echo more >> $D/in.csv",
    ):
        (data / "in.csv").write_text("a,b\n1,2\n")
        files, inputs, _ = watched(data, ("bash", "-c", script))
        assert inputs == ["in.csv"]
        (read,) = files.inputs()
        assert read.digest == held, script


def test_opening_for_writing_without_writing_is_no_output(data):
    _, inputs, outputs = watched(data, ("bash", "-c", "exec 3<>$D/in.csv; exec 4>>$D/in.csv"))
    assert (inputs, outputs) == (["in.csv"], [])


def test_a_code_and_a_signal_come_through(data):
    watched(data, ("bash", "-c", "exit 7"), code=7)
    watched(data, ("bash", "-c", "kill -KILL $$"), code=-signal.SIGKILL)


def test_two_watches_at_once_see_their_own(data):
    both = []
    for name in ("one", "two"):
        (data / name).write_text(name * 100)
        files = Files(lambda path: not path.startswith(f"{data}/"))
        watch = Watch(files)
        script = f"for i in 1 2 3 4 5; do cat $D/{name} > $D/out.{name}; sleep 0.02; done"
        both.append(
            (watch, files, watch.start(("bash", "-c", script), env={**os.environ, "D": str(data)}))
        )
    for (watch, files, process), name in zip(both, ("one", "two"), strict=True):
        assert process.wait(60) == 0
        assert watch.wait(60)
        assert [Path(one.path).name for one in files.inputs()] == [name]
        assert [Path(one).name for one in files.outputs()] == [f"out.{name}"]


def test_a_watch_within_a_watch_is_refused_and_said(data):
    """One listener a process tree; the inner one falls back to what Python opens."""
    script = "import sys; from casemate.lineage.watch import why_not; sys.exit(why_not())"
    files = Files(lambda _: True)
    watch = Watch(files)
    out = data / "out"
    process = watch.start(
        ["bash", "-c", f"{sys.executable} -c '{script}' 2> {out}"], env=os.environ
    )
    assert process.wait(60) == 1
    assert out.read_text() == "EBUSY\n"
    assert watch.wait(60)


def test_when_the_recorder_is_killed_the_command_ends(data):
    """Without anybody who answers, it could open nothing any more."""
    recorder = """
import os, sys
from casemate.lineage.files import Files
from casemate.lineage.watch import Watch
watch = Watch(Files(lambda _: True))
process = watch.start(["sleep", "600"], env=os.environ)
print(process.pid, flush=True)
process.wait()
"""
    started = subprocess.Popen([sys.executable, "-c", recorder], stdout=subprocess.PIPE)
    pid = int(started.stdout.readline())
    started.kill()
    started.wait(30)
    started.stdout.close()
    handle = None
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 30)[0]
    finally:
        os.close(handle)


@pytest.mark.parametrize("machine", launch.CALLS)
def test_the_filter_asks_for_its_calls_and_lets_all_others_pass(machine):
    """Run by a small interpreter of classic BPF, so that both machines are tried on either."""
    steps = list(struct.iter_unpack("=HBBI", launch.program(machine)))

    def verdict(call, architecture):
        at, value = 0, 0
        while True:
            code, yes, no, number = steps[at]
            at += 1
            if code == 0x20:
                value = architecture if number == 4 else call
            elif code == 0x15:
                at += yes if value == number else no
            else:
                return number

    own = launch._ARCHITECTURE[machine]
    for call in range(600):
        asked = verdict(call, own) == 0x7FC00000
        assert asked == (call in launch.CALLS[machine].values())
        assert verdict(call, 0x40000003) == 0x7FFF0000
