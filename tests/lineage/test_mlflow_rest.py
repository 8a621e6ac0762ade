"""A tracking server that is old, odd or hostile; tests/journeys asks a real one."""

import http.server
import json
import threading
from contextlib import contextmanager

import pytest

from casemate.errors import TargetError, UsageError
from casemate.lineage import mlflow_rest
from casemate.lineage.mlflow import read

RUN = "c" * 32


@contextmanager
def server(answers):
    """Serve answers by the last part of the path; a callable gets the query and the body."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self.reply({})

        def do_POST(self):
            self.reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def reply(self, body):
            path, _, query = self.path.partition("?")
            asked.append((path, query, body, dict(self.headers)))
            key = "/".join(path.rsplit("/", 2)[1:])
            found = answers.get(key, {})
            found = found(query, body) if callable(found) else found
            status, headers = 200, {}
            if isinstance(found, tuple):
                status, headers, found = found
            raw = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}", asked
    finally:
        running.shutdown()
        running.server_close()


def run(number, **info):
    return {"info": {"run_id": f"{number:032x}", "run_name": f"r{number}", **info}}


EXPERIMENTS = {"experiments/search": {"experiments": [{"experiment_id": "1"}]}}


def test_all_pages_are_turned():
    def runs(query, body):
        page = int(body.get("page_token", "0"))
        more = {"next_page_token": str(page + 1)} if page < 4 else {}
        return {"runs": [run(3 * page + n) for n in range(3)], **more}

    with server({**EXPERIMENTS, "runs/search": runs}) as (url, _):
        lineage = read(url, environ={})
    assert sum(node.kind == "run" for node in lineage.nodes) == 15
    assert lineage.notes == []


def test_pages_that_go_round_end():
    answer = {"runs": [run(1)], "next_page_token": "again"}
    with server({**EXPERIMENTS, "runs/search": answer}) as (url, asked):
        lineage = read(url, environ={})
    assert len(asked) < 10
    assert any("circle" in note for note in lineage.notes)


def test_empty_pages_with_ever_new_tokens_end():
    def runs(query, body):
        page = int(body.get("page_token", "0"))
        return {"runs": [run(1)] if page == 0 else [], "next_page_token": str(page + 1)}

    with server({**EXPERIMENTS, "runs/search": runs}) as (url, asked):
        lineage = read(url, environ={})
    assert len(asked) < 10
    assert any("empty page" in note for note in lineage.notes)


def test_pages_are_counted(monkeypatch):
    def runs(query, body):
        page = int(body.get("page_token", "0"))
        return {"runs": [run(page)], "next_page_token": str(page + 1)}

    monkeypatch.setattr(mlflow_rest, "PAGES", 3)
    with server({**EXPERIMENTS, "runs/search": runs}) as (url, _):
        lineage = read(url, environ={})
    assert sum(node.kind == "run" for node in lineage.nodes) == 3
    assert any("first 3 pages" in note for note in lineage.notes)


def test_no_more_is_read_than_asked_for():
    def runs(query, body):
        page = int(body.get("page_token", "0"))
        return {"runs": [run(page)], "next_page_token": str(page + 1)}

    with server({**EXPERIMENTS, "runs/search": runs}) as (url, _):
        lineage = read(url, most=5, environ={})
    assert sum(node.kind == "run" for node in lineage.nodes) == 5
    assert any("first 5" in note for note in lineage.notes)


def test_a_server_from_before_logged_models():
    refusal = (404, {}, b"not found")
    with server({**EXPERIMENTS, "logged-models/search": refusal}) as (url, _):
        lineage = read(url, environ={})
    assert any("older than MLflow 3" in note for note in lineage.notes)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((302, {"location": "http://169.254.169.254/"}, b""), "redirects"),
        (b"<html>sign in</html>", "did not answer with JSON"),
        (b"[1]", "JSON object"),
        (b"[" * 100_000, "did not answer with JSON"),
        ((401, {}, b'{"message": "who\\u001b[31m are you"}'), "401: who"),
        ((500, {}, b"x" * 100_000), "500"),
    ],
)
def test_what_is_no_answer_of_mlflows_is_told(answer, said):
    with (
        server({"experiments/search": answer}) as (url, asked),
        pytest.raises(TargetError, match=said) as caught,
    ):
        read(url, environ={})
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)
    assert len(asked) == 1


def test_credentials_come_from_the_environment_and_are_kept_nowhere():
    with server(EXPERIMENTS) as (url, asked):
        lineage = read(url, environ={"CASEMATE_TOKEN": "s3cret"})
        assert {headers["authorization"] for *_, headers in asked} == {"Bearer s3cret"}
        assert "s3cret" not in repr(lineage)
        with pytest.raises(UsageError, match="user name or password"):
            read(url.replace("://", "://me:s3cret@"), environ={})


def test_values_of_any_type_do_no_harm():
    odd = [None, [], {}, "x", -1, 2**70, 1.5, True]
    answers = {
        **EXPERIMENTS,
        "runs/search": {"runs": [*odd, {"info": odd}, run(1, start_time=2**70, artifact_uri=odd)]},
        "logged-models/search": {"models": odd},
        "registered-models/search": {"registered_models": [{"name": "a", "aliases": odd}]},
        "model-versions/search": {"model_versions": [{"name": "a", "version": v} for v in odd]},
    }
    with server(answers) as (url, _):
        assert any(node.id == f"mlflow:runs/{1:032x}" for node in read(url, environ={}).nodes)


def test_files_are_hashed_as_they_are_served_and_no_name_leads_out():
    import hashlib

    listing = {
        "files": [
            {"path": "rows.csv", "is_dir": False, "file_size": 4},
            {"path": "..", "is_dir": True},
            {"path": "huge.bin", "is_dir": False, "file_size": 1 << 40},
        ]
    }
    answers = {
        **EXPERIMENTS,
        "runs/search": {"runs": [run(1, artifact_uri="mlflow-artifacts:/1/r/artifacts")]},
        "mlflow-artifacts/artifacts": listing,
        "artifacts/rows.csv": b"a,b\n",
    }
    with server(answers) as (url, _):
        lineage = read(url, environ={})
    digests = {node.name: node.digest for node in lineage.nodes if node.kind != "run"}
    assert digests == {
        "rows.csv": f"sha256:{hashlib.sha256(b'a,b' + bytes([10])).hexdigest()}",
        "huge.bin": None,
    }


def test_a_folder_that_never_ends_is_left():
    listing = {"files": [{"path": "deeper", "is_dir": True}]}
    answers = {
        **EXPERIMENTS,
        "runs/search": {"runs": [run(1, artifact_uri="mlflow-artifacts:/1/r/artifacts")]},
        "mlflow-artifacts/artifacts": listing,
    }
    with server(answers) as (url, asked):
        lineage = read(url, environ={})
    assert len(asked) < 20
    assert any("deep" in note for note in lineage.notes)


def test_folders_are_counted():
    listing = {"files": [{"path": f"d{number}", "is_dir": True} for number in range(40)]}
    answers = {
        **EXPERIMENTS,
        "runs/search": {"runs": [run(1, artifact_uri="mlflow-artifacts:/1/r/artifacts")]},
        "mlflow-artifacts/artifacts": listing,
    }
    with server(answers) as (url, asked):
        lineage = read(url, environ={})
    assert len(asked) < mlflow_rest.FOLDERS + 10
    assert any("folders" in note for note in lineage.notes)
