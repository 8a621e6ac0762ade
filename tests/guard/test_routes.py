import pytest

from casemate.errors import UsageError
from casemate.guard.policy import RouteTable
from casemate.guard.routes import Routes, canonical


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/models/m/infer", ("oip", "m", None)),
        ("/v2/models/m/versions/3/infer", ("oip", "m", "3")),
        ("//v2/./models/x/../m/infer/", ("oip", "m", None)),
        ("/v2/models/m%2einfer/%69nfer", ("oip", "m.infer", None)),
        ("/v1/models/m:predict", ("tfserving", "m", None)),
        ("/v1/models/m/versions/2:classify", ("tfserving", "m", "2")),
        ("/inference.GRPCInferenceService/ModelInfer", ("oip-grpc", "", None)),
        ("/invocations", ("invocations", "", None)),
        ("/v1/chat/completions", ("chat", "", None)),
        ("/openai/v1/embeddings", ("chat", "", None)),
    ],
)
def test_known_paths(path, expected, tmp_path):
    route = Routes((), tmp_path).find(path)
    assert (route.protocol, route.model, route.version) == expected


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/v2/health/ready", "/v2/models/m", "/v1/models"]
)
def test_paths_without_inference(path, tmp_path):
    assert Routes((), tmp_path).find(path) is None


def test_the_first_of_the_own_routes_counts_and_fills_what_the_path_does_not_say(tmp_path):
    tables = (
        RouteTable(match="/v2/models/*/infer", name="first", trained="2026-01-02", version="7"),
        RouteTable(match="/**", name="second", protocol="json", model="m"),
    )
    routes = Routes(tables, tmp_path)
    first = routes.find("/v2/models/digits/infer")
    assert (first.name, first.model, first.version) == ("first", "digits", "7")
    assert first.trained == 1_767_312_000_000_000
    assert routes.find("/any/where").name == "second"
    # One star is one segment.
    assert routes.find("/v2/models/a/b/infer").name == "second"


def test_an_unknown_form_on_an_own_route_is_opaque(tmp_path):
    assert Routes((RouteTable(match="/score"),), tmp_path).find("/score").protocol == "opaque"


def test_paths_are_remembered_within_bounds(tmp_path):
    routes = Routes((), tmp_path)
    for number in range(9000):
        routes.find(f"/v2/models/m{number}/infer")
    assert len(routes._found) <= 4096
    assert routes.find("/v2/models/m1/infer").model == "m1"


@pytest.mark.parametrize(
    "table",
    [
        RouteTable(match="score"),
        RouteTable(match="/x", trained="yesterday"),
        RouteTable(match="/x", newest_row="2026-13-01T00:00"),
        RouteTable(match="/x", template="missing.json"),
    ],
)
def test_a_route_that_cannot_be_is_refused(table, tmp_path):
    with pytest.raises(UsageError):
        Routes((table,), tmp_path)


def test_canonical_never_leaves_the_root():
    assert canonical("/../../etc/./passwd/") == "/etc/passwd"
    assert canonical("/a%2fb") == "/a/b"
