"""Every page says the same to a person and to a program, and no name on it runs."""

import html
import json

import pytest

from casemate.console.reading import PAGES
from tests.console.scene import HOSTILE, client, enter, scene

PATHS = [one.path for one in PAGES]


def address(path, night, name="eve"):
    from urllib.parse import quote

    found = path.replace("{case}", night.case)
    return (
        f"{found}?name={quote(name, errors='replace')}" if found.startswith("/principal") else found
    )


@pytest.mark.parametrize("path", [one for one in PATHS if not one.endswith("/paper")])
def test_a_page_and_its_data(night, path):
    with client(night) as asking:
        enter(asking)
        shown = asking.get(address(path, night))
        assert shown.status_code == 200
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        data = asking.get("/api" + address(path, night))
        assert data.headers["content-type"] == "application/json"
        assert data.json()
        other = asking.get(address(path, night), headers={"accept": "application/json"})
        assert other.json().keys() == data.json().keys()


def test_the_first_page_says_what_to_do_first(night):
    with client(night) as asking:
        enter(asking)
        text = asking.get("/now").text
        assert text.index("Do this first") < text.index("Open cases")
        assert night.case in text
        assert "Open a case" in text
        now = asking.get("/api/now").json()["now"]
        assert now["tone"] == "stop"
        assert [one["case"] for one in now["alarms"]].count(night.case) == 1


def test_the_inputs_are_drawn_and_looking_is_on_record(night):
    with client(night) as asking:
        enter(asking)
        found = asking.get(f"/api/cases/{night.case}/inputs").json()["inputs"]
        pictures = [one["picture"] for one in found["shown"]]
        assert all(one.startswith("data:image/png;base64,") for one in pictures)
        assert len(set(pictures)) > 10
        last = asking.built.desk.trail.read().entries[0]
        assert (last.what, night.case in last.about) == ("looked", True)


def test_the_timeline_sets_the_suspects_apart(night):
    with client(night) as asking:
        enter(asking)
        line = asking.get(f"/api/cases/{night.case}/timeline").json()["timeline"]
        assert sum(one["named"] for one in line["bars"]) == 120
        assert sum(one["refused"] for one in line["bars"]) == 19
        assert sum(one["other"] for one in line["bars"]) > 100


def test_hostile_names_are_text_and_nothing_else(tmp_path):
    made = scene(tmp_path, suspects=HOSTILE[:-3] + HOSTILE[-2:], title=HOSTILE[0])
    with client(made) as asking:
        enter(asking)
        for path in PATHS:
            if path.endswith("/paper"):
                continue
            for name in HOSTILE[:9:4] if "principal" in path else HOSTILE[:1]:
                text = asking.get(address(path, made, name)).text
                for hostile in HOSTILE:
                    if "<" in hostile:
                        assert hostile not in text, path
                assert "49{%" not in text
                assert "\u202e" not in text
                assert "\x00" not in text
        shown = asking.get("/now").text
        assert html.escape(HOSTILE[0], quote=False)[:20] in shown
        json.dumps(asking.get("/api/now").json())
    made.workspace.close()
