from casemate.lineage.telling import Telling, plain_uri


def test_of_two_that_say_the_same_the_one_that_says_more_stays():
    telling = Telling("a test")
    telling.node("a", "file", "a")
    telling.node("a", "file", "a", digest="sha256:" + "0" * 64, facts={"bytes": 5, "empty": ""})
    telling.node("a", "file", "other")
    telling.node("b", "file", "")
    telling.edge("a", "b", "derived-from", confidence=0.5, why="perhaps")
    telling.edge("a", "b", "derived-from", at=7)
    telling.edge("a", "b", "derived-from", confidence=0.9)
    telling.edge("a", "a", "same-as")
    nodes, edges, notes = telling.lineage()
    assert [(n.id, n.name, n.facts) for n in nodes] == [("a", "a", {"bytes": 5}), ("b", "b", {})]
    assert [(e.confidence, e.at, e.by) for e in edges] == [(1.0, 7000, "a test")]
    assert notes == []


def test_addresses_lose_what_may_be_a_secret():
    assert plain_uri("https://u:p@host:8/a?sig=1#t") == "https://host:8/a"
    assert plain_uri("/plain/path") == "/plain/path"
    assert plain_uri("http://[bad") == ""
