# ruff: noqa: E501
"""Changes for real nginx and Envoy: `patch` applies them, the server takes them and obeys."""

import contextlib
import http.server
import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from casemate.case.changes import Wish, change
from casemate.errors import UsageError
from tests.servers import envoy, nginx
from tests.servers.envoy import free_port, wait_for

MALLORY = 'mallory "m" \\ $host'
WISH = Wish("case-2026-0007", "block", (MALLORY, "default", "~.*"), header="X-Api-Key")


@contextlib.contextmanager
def upstream(word):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(word)))
            self.end_headers()
            self.wfile.write(word)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def models():
    with upstream(b"new") as new, upstream(b"old") as old:
        yield new, old


def ask(port, key=None):
    headers = {} if key is None else {"X-Api-Key": key}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers), timeout=10
        ) as reply:
            return reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code


def patched(path, wish):
    """Apply a change with patch, and see that -R takes it back; returns the change."""
    before = path.read_bytes()
    made = change(str(path), path.read_text(), wish)
    for reverse in (False, True, False):
        done = subprocess.run(
            ["patch", *(["-R"] if reverse else []), "--no-backup-if-mismatch", str(path)],
            input=made.text.encode(), capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert b"fuzz" not in done.stdout
        if reverse:
            assert path.read_bytes() == before
    return made


NGINX = """# the team's own words stay
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream model {{ server 127.0.0.1:{upstream}; }}
    server {{
        listen 127.0.0.1:{port};
        location /static {{ root /nowhere; }}
        location / {{
            proxy_pass http://model;  # "quoted {{ brace"
        }}
    }}
}}
"""


@pytest.mark.skipif(nginx.binary() is None, reason="nginx is not installed")
class TestNginx:
    @contextlib.contextmanager
    def running(self, folder, wish, upstream, text=NGINX):
        port = free_port()
        path = folder / "nginx.conf"
        path.write_text(text.format(folder=folder, port=port, upstream=upstream))
        made = patched(path, wish)
        command = [nginx.binary(), "-p", str(folder), "-c", str(path), "-e", f"{folder}/early.log"]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr + path.read_text()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield port, made
        finally:
            process.terminate()
            process.wait(20)

    def test_blocked_callers_are_refused_and_nobody_else(self, tmp_path, models):
        with self.running(tmp_path, WISH, models[0]) as (port, made):
            assert [ask(port, key) for key in WISH.principals] == [403] * 3
            assert [ask(port, key) for key in (None, "alice", "xmallory", "DEFAULTS")] == [
                "new"
            ] * 4
        assert "case-2026-0007" in made.text
        assert made.notes == ()

    def test_an_address_is_refused(self, tmp_path, models):
        wish = WISH._replace(principals=("ip:127.0.0.1",), header=None)
        with self.running(tmp_path, wish, models[0]) as (port, _):
            assert ask(port) == 403

    def test_throttled_callers_are_slowed_down_and_nobody_else(self, tmp_path, models):
        wish = WISH._replace(action="throttle", principals=("mallory",), per_minute=2)
        with self.running(tmp_path, wish, models[0]) as (port, _):
            assert [ask(port, "mallory") for _ in range(5)].count(429) == 3
            assert [ask(port, "alice") for _ in range(5)] == ["new"] * 5

    def test_the_last_good_version_answers(self, tmp_path, models):
        wish = WISH._replace(action="last-good", upstream=f"http://127.0.0.1:{models[1]}")
        with self.running(tmp_path, wish, models[0]) as (port, made):
            assert ask(port) == "old"
        assert "was http://model" in made.text

    def test_a_file_that_others_include_and_a_very_long_name(self, tmp_path, models):
        long = "k" * 200
        port = free_port()
        (tmp_path / "site.conf").write_text(
            f"server {{\n  listen 127.0.0.1:{port};\n  location / {{\n"
            f"    proxy_pass http://127.0.0.1:{models[0]};\n  }}\n}}"
        )
        patched(tmp_path / "site.conf", WISH._replace(principals=(long,)))
        main = "events {}\nhttp { include site.conf; }\npid nginx.pid;\n"
        (tmp_path / "main.conf").write_text(main)
        command = [nginx.binary(), "-p", str(tmp_path), "-c", str(tmp_path / "main.conf"), "-t"]
        checked = subprocess.run(
            [*command, "-e", str(tmp_path / "e.log")], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr

    def test_which_of_several_upstreams_is_meant_must_be_said(self):
        text = "server { location /a { proxy_pass http://a; } location /b {proxy_pass http://b;} }"
        wish = WISH._replace(action="last-good", upstream="http://good:80")
        with pytest.raises(UsageError, match="2 upstreams"):
            change("n.conf", text, wish)
        made = change("n.conf", text, wish._replace(instead_of="b"))
        assert "http://good:80" in made.text
        assert "location /a { proxy_pass http://a; }" in made.text


YAML = """# kept
static_resources:
  listeners:
  - name: in
    address:
      socket_address: {{address: 127.0.0.1, port_value: {port}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route:
                  cluster: model   # the one in use
          http_filters:
            - name: envoy.filters.http.router
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: model
      type: STATIC
      load_assignment:
        cluster_name: model
        endpoints:
        - lb_endpoints:
          - endpoint:
              address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}
"""


def compact(port, upstream):
    return json.dumps(envoy.configuration(port, upstream))


def pretty(port, upstream):
    return json.dumps(envoy.configuration(port, upstream), indent=4) + "\n"


def written(port, upstream):
    return YAML.format(port=port, upstream=upstream)


class TestEnvoy:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("envoy")

    @contextlib.contextmanager
    def running(self, folder, wish, upstream, form):
        port = free_port()
        path = folder / ("envoy.yaml" if form is written else "envoy.json")
        path.write_text(form(port, upstream))
        made = patched(path, wish)
        process = subprocess.Popen(
            [
                envoy.binary(), "-c", str(path), "--concurrency", "1", "--disable-hot-restart",
                "--log-level", "error", "--base-id", str(port),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(port)
            yield port, made
        finally:
            process.terminate()
            process.wait(20)

    @pytest.mark.parametrize("form", [compact, pretty, written])
    @pytest.mark.parametrize("action", ["block", "throttle", "last-good"])
    def test_envoy_takes_the_change(self, tmp_path, form, action):
        path = tmp_path / ("e.yaml" if form is written else "e.json")
        path.write_text(form(10001, 10002))
        wish = WISH._replace(
            action=action, principals=(*WISH.principals, "ip:203.0.113.7", "ip:2001:db8::1"),
            upstream="https://good.example:8443",
        )  # fmt: skip
        made = patched(path, wish)
        done = subprocess.run(
            [envoy.binary(), "--mode", "validate", "-c", str(path), "-l", "error"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("# kept" in path.read_text()) == (form is written)
        assert bool(made.notes) == (action == "throttle")

    def test_blocked_callers_are_refused_and_nobody_else(self, tmp_path, models):
        wish = WISH._replace(principals=("mallory", "~.*"))
        with self.running(tmp_path, wish, models[0], written) as (port, _):
            assert [ask(port, key) for key in wish.principals] == [403, 403]
            assert [ask(port, key) for key in (None, "alice")] == ["new", "new"]

    def test_throttled_callers_are_slowed_down_and_nobody_else(self, tmp_path, models):
        wish = WISH._replace(action="throttle", principals=("mallory", "eve"), per_minute=2)
        with self.running(tmp_path, wish, models[0], pretty) as (port, _):
            assert [ask(port, "mallory") for _ in range(3)] == ["new", 429, 429]
            assert ask(port, "eve") == "new"
            assert [ask(port, "alice") for _ in range(3)] == ["new"] * 3

    def test_the_last_good_version_answers(self, tmp_path, models):
        wish = WISH._replace(action="last-good", upstream=f"http://127.0.0.1:{models[1]}")
        with self.running(tmp_path, wish, models[0], written) as (port, _):
            assert ask(port) == "old"

    def test_which_of_several_clusters_is_meant_must_be_said(self):
        text = json.dumps(envoy.configuration(1, 2, other=3))
        wish = WISH._replace(action="last-good", upstream="http://127.0.0.1:4")
        with pytest.raises(UsageError, match="2 clusters") as caught:
            change("e.json", text, wish)
        assert "instead_of" in caught.value.hint
        made = change("e.json", text, wish._replace(instead_of="other"))
        assert "casemate-last-good" in made.text

    def test_routes_that_are_elsewhere_cannot_be_changed(self):
        with pytest.raises(UsageError, match="no routes"):
            change("e.yaml", "static_resources:\n  listeners: []\n", WISH)


KSERVE = """apiVersion: v1
kind: ConfigMap
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: digits}
spec:
  predictor:
    # two replicas
    minReplicas: 2
    model:
      modelFormat: {name: sklearn}
      storageUri: s3://models/digits/v2   # since Tuesday"""


class TestKserve:
    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "digits.yaml").write_text(KSERVE)
        return tmp_path / "digits.yaml"

    def test_the_revision_before_gets_all_traffic(self, path):
        import yaml

        made = patched(path, WISH._replace(action="last-good"))
        _, service = yaml.safe_load_all(path.read_text())
        assert service["spec"]["predictor"]["canaryTrafficPercent"] == 0
        assert service["spec"]["predictor"]["model"]["storageUri"] == "s3://models/digits/v2"
        assert "# two replicas" in path.read_text()
        assert "serverless" in made.notes[0]
        again = WISH._replace(action="last-good", case="case-2026-0008")
        text = path.read_text().replace("canaryTrafficPercent: 0", "canaryTrafficPercent: 30")
        assert "+    canaryTrafficPercent: 0" in change("d.yaml", text, again).text

    def test_the_good_weights_are_named(self, path):
        import yaml

        patched(path, WISH._replace(action="last-good", upstream="s3://models/digits/v1"))
        _, service = yaml.safe_load_all(path.read_text())
        assert service["spec"]["predictor"]["model"]["storageUri"] == "s3://models/digits/v1"
        assert "# since Tuesday" in path.read_text()

    def test_it_knows_no_callers(self):
        with pytest.raises(UsageError, match="KServe cannot block") as caught:
            change("digits.yaml", KSERVE, WISH)
        assert "gateway" in caught.value.hint


class TestAnyFile:
    @pytest.mark.parametrize(
        "text",
        ["", "hello", "{}", "a: &x [*x]", "http {", "}", "{" * 500, "server { \x00", "[" * 5000],
    )
    def test_what_is_no_configuration_is_told(self, text):
        with pytest.raises(UsageError):
            change("x.conf", text, WISH)

    @pytest.mark.parametrize("action", ["coarsen", "review"])
    def test_what_only_the_guard_can_do_is_told(self, action):
        with pytest.raises(UsageError, match="a proxy cannot") as caught:
            change("digits.yaml", KSERVE, WISH._replace(action=action))
        assert "guard" in caught.value.hint

    def test_whom_no_proxy_can_tell_is_told(self):
        text = "server { location / { proxy_pass http://a; } }"
        with pytest.raises(UsageError, match="no header"):
            change("n.conf", text, WISH._replace(header=None))
        made = change("n.conf", text, WISH._replace(principals=("alice", "long:ab12")))
        assert "long:ab12" in made.notes[0]

    def test_a_name_of_the_file_cannot_steer_the_patch(self):
        text = "server { location / { proxy_pass http://a; } }"
        made = change("x\n+++ b/etc/passwd; rm.conf", text, WISH)
        assert made.text.startswith("--- a/passwd")
        assert "'" in made.how

    def test_patch_is_there(self):
        assert shutil.which("patch")
