"""A registry that answers as MLflow's does, for what needs no real one; journeys ask a real one."""

import contextlib
import http.server
import json
import threading
from urllib.parse import parse_qs


class Registry:
    """Registered models as {name: [versions, {alias: version}]}; `stubborn` ones take no alias."""

    def __init__(self, models, *, stubborn=False):
        self.models, self.stubborn = models, stubborn
        self.url = ""

    def answer(self, method, path, query, body):
        name = query.get("name") or body.get("name")
        if name is None:
            name = query["filter"].removeprefix("name='").removesuffix("'")
        if name not in self.models:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no {name}"}
        versions, aliases = self.models[name]
        if path.endswith("registered-models/get"):
            pairs = [{"alias": key, "version": value} for key, value in aliases.items()]
            return 200, {"registered_model": {"name": name, "aliases": pairs}}
        if path.endswith("model-versions/search"):
            page = int(query.get("page_token", "0"))
            rows = [{"version": one, "status": "READY"} for one in versions[page : page + 2]]
            more = {"next_page_token": str(page + 2)} if page + 2 < len(versions) else {}
            return 200, {"model_versions": rows, **more}
        if method == "POST" and not self.stubborn:
            aliases[body["alias"]] = body["version"]
        alias = query.get("alias") or body.get("alias")
        return 200, {"model_version": {"version": aliases.get(alias)}}


@contextlib.contextmanager
def registry(models, **more):
    """Yield a running Registry."""
    held = Registry(models, **more)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            path, _, query = self.path.partition("?")
            given = {key: value[0] for key, value in parse_qs(query).items()}
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, said = held.answer(self.command, path, given, json.loads(body or "{}"))
            raw = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST  # noqa: N815

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
