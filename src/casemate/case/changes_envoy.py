"""Changes of an Envoy configuration, YAML or JSON: refuse, slow down, switch the cluster.

Routes that match a caller's header come before those that are there; addresses are refused by the
RBAC filter. Source: envoyproxy.io, v3 API: `config.route.v3`, `http.local_ratelimit.v3`,
`http.rbac.v3`, `config.cluster.v3`.
"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

from casemate.case.changes import callers, missed, place, the_one
from casemate.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.case.changes import Wish
    from casemate.formats.yaml import Item

HOW = (
    "apply: patch {file} < change; check: envoy --mode validate -c {file}, then restart or let "
    "Envoy's watcher take it; undo: patch -R {file} < change"
)
MANAGER = "HttpConnectionManager"
LAST_GOOD = "casemate-last-good"
_TYPE = "type.googleapis.com/envoy.extensions"
LIMIT = {"@type": f"{_TYPE}.filters.http.local_ratelimit.v3.LocalRateLimit"}


def recognises(text: str) -> bool:
    """Say whether this is an Envoy configuration."""
    return "static_resources" in text and _read(text) is not None


def rewrite(text: str, wish: Wish) -> tuple[str, list[str]]:
    """Return the changed text and what the change does not do.

    Raises:
        UsageError: The file holds no routes, as they are fetched from elsewhere.
    """
    root = _read(text)
    managers = [] if root is None else list(_managers(root))
    hosts = [
        host
        for manager in managers
        for host in _items(manager, "route_config", "virtual_hosts")
        if "routes" in host.value
    ]
    if root is None or not hosts:
        raise UsageError(
            "the Envoy configuration holds no routes: it fetches them from elsewhere",
            hint="make the change where its routes come from (RDS), or put the guard there",
        )
    if wish.action == "last-good":
        return _switch(text, root, hosts, wish), []
    found = callers(wish)
    notes = missed(found)
    inserts: list[tuple[Item, list[dict[str, Any]]]] = []
    for host in hosts:
        routes = host.value["routes"]
        made = [_matched(wish, value, routes) for value in found.values]
        inserts.append((routes, [one for some in made for one in some]))
    filters = []
    if wish.action == "throttle" and found.values:
        filters.append(
            {
                "name": "envoy.filters.http.local_ratelimit",
                "typed_config": {**LIMIT, "stat_prefix": "casemate"},
            }
        )
    if wish.action == "block" and found.addresses:
        filters.append(_refusing(wish, found.addresses))
    elif found.addresses:
        notes.append(
            "addresses cannot be slowed down by a route of Envoy: block them, or use nginx: "
            + ", ".join(found.addresses[:5])
        )
    if wish.action == "throttle" and not found.values:
        raise UsageError(notes[-1], hint="--action block")
    inserts += [
        (manager.value["http_filters"], filters)
        for manager in managers
        if "http_filters" in manager.value
    ]
    edits = [_inserted(text, where, what) for where, what in inserts if what]
    return _edited(text, edits), notes


def _matched(wish: Wish, value: str, routes: Item) -> list[dict[str, Any]]:
    """Return routes for one caller, to stand before those for all."""
    header = {"name": (wish.header or "").lower(), "string_match": {"exact": value}}
    if wish.action == "block":
        body = {"inline_string": f"refused: {wish.case}\n"}
        match = {"prefix": "/", "headers": [header]}
        return [{"match": match, "direct_response": {"status": 403, "body": body}}]
    from casemate.formats.yaml import plain

    rate = max(1, round(wish.per_minute))
    whole = {"numerator": 100, "denominator": "HUNDRED"}
    limit = {
        **LIMIT,
        "stat_prefix": "casemate",
        "token_bucket": {
            "max_tokens": 1,
            "tokens_per_fill": 1,
            "fill_interval": f"{60 / rate:.3f}s",
        },
        "filter_enabled": {"default_value": whole},
        "filter_enforced": {"default_value": whole},
    }
    made = []
    for route in routes.value:
        one = plain(route)
        if not isinstance(one, dict) or "match" not in one:
            continue
        match = {**one["match"], "headers": [header, *one["match"].get("headers", [])]}
        own = one.get("typed_per_filter_config", {})
        per_filter = {**own, "envoy.filters.http.local_ratelimit": limit}
        made.append({**one, "match": match, "typed_per_filter_config": per_filter})
        made[-1].pop("name", None)
    return made


def _refusing(wish: Wish, addresses: list[str]) -> dict[str, Any]:
    principals = []
    for text in addresses:
        try:
            one = ipaddress.ip_address(text)
        except ValueError as error:
            raise UsageError(f"'{text}' is no address", hint="ip:203.0.113.7") from error
        cidr = {"address_prefix": str(one), "prefix_len": one.max_prefixlen}
        principals.append({"remote_ip": cidr})
    policy = {"permissions": [{"any": True}], "principals": principals}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": f"{_TYPE}.filters.http.rbac.v3.RBAC",
            "rules": {"action": "DENY", "policies": {f"casemate {wish.case}": policy}},
        },
    }


def _switch(text: str, root: Item, hosts: list[Item], wish: Wish) -> str:
    host, port, secure = place(wish.upstream)
    places = [
        route.value["route"].value["cluster"]
        for each in hosts
        for route in each.value["routes"].value
        if isinstance(route.value, dict)
        and "route" in route.value
        and "cluster" in route.value["route"].value
    ]
    old = the_one([str(one.value) for one in places], wish, "cluster")
    edits = [(one.start, one.end, json.dumps(LAST_GOOD)) for one in places if str(one.value) == old]
    try:
        ipaddress.ip_address(host)
        kind = "STATIC"
    except ValueError:
        kind = "STRICT_DNS"
    address = {"socket_address": {"address": host, "port_value": port}}
    cluster: dict[str, Any] = {
        "name": LAST_GOOD,
        "type": kind,
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": LAST_GOOD,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    clusters = _at(root, "static_resources", "clusters")
    if clusters is None or not isinstance(clusters.value, list) or not clusters.value:
        raise UsageError("the Envoy configuration names no clusters")
    for each in clusters.value:
        if isinstance(each.value, dict) and _plain(each).get("name") == old:
            for key in ("typed_extension_protocol_options", "circuit_breakers"):
                if key in each.value:
                    cluster[key] = _plain(each)[key]
    if secure:
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{_TYPE}.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": host,
            },
        }
    edits.append(_inserted(text, clusters, [cluster]))
    return _edited(text, edits)


def _inserted(text: str, where: Item, what: list[dict[str, Any]]) -> tuple[int, int, str]:
    """Return the edit that puts items before the first of a list, written as the list is."""
    if not where.value:
        raise UsageError("an empty list of the Envoy configuration cannot be added to")
    first = where.value[0]
    if where.flow:
        begin = text.rfind("\n", 0, first.start) + 1
        lead = text[begin : first.start]
        if lead.strip():
            return first.start, first.start, "".join(f"{json.dumps(one)}, " for one in what)
        step = first.column - (len(lead) - len(lead.lstrip())) or 2
        shown = [json.dumps(one, indent=step).replace("\n", f"\n{lead}") for one in what]
        return first.start, first.start, "".join(f"{one},\n{lead}" for one in shown)
    dash = text.rfind("-", 0, first.start)
    begin = text.rfind("\n", 0, dash) + 1
    lead = " " * (dash - begin)
    lines = [line for one in what for line in block([one])]
    return begin, begin, "".join(f"{lead}{line}\n" for line in lines)


def block(value: Any) -> list[str]:
    """Return a value as lines of block YAML, its scalars as JSON."""
    if isinstance(value, dict) and value:
        lines = []
        for key, each in value.items():
            shown = key if key.replace("_", "").isalnum() else json.dumps(key)
            inner = block(each)
            nested = isinstance(each, dict | list) and each
            lines += (
                [f"{shown}:", *(f"  {line}" for line in inner)]
                if nested
                else [f"{shown}: {inner[0]}"]
            )
        return lines
    if isinstance(value, list) and value:
        lines = []
        for each in value:
            first, *rest = block(each)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
        return lines
    return [json.dumps(value)]


def _read(text: str) -> Item | None:
    from casemate.formats.yaml import read

    try:
        found = read(text)
    except FormatError:
        return None
    return found if _at(found, "static_resources") is not None else None


def _managers(item: Item) -> Iterator[Item]:
    if isinstance(item.value, dict):
        kind = item.value.get("@type")
        if kind is not None and str(kind.value).endswith(MANAGER):
            yield item
        for each in item.value.values():
            yield from _managers(each)
    elif isinstance(item.value, list):
        for each in item.value:
            yield from _managers(each)


def _items(item: Item, *keys: str) -> list[Item]:
    found = _at(item, *keys)
    if found is None or not isinstance(found.value, list):
        return []
    return [one for one in found.value if isinstance(one.value, dict)]


def _at(item: Item, *keys: str) -> Item | None:
    for key in keys:
        if not isinstance(item.value, dict) or key not in item.value:
            return None
        item = item.value[key]
    return item


def _plain(item: Item) -> Any:
    from casemate.formats.yaml import plain

    return plain(item)


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
