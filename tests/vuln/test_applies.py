"""An answer is right for what is here, and what cannot be told is never "not affected"."""

import random

import msgspec
import pytest
from packaging.version import Version

from casemate.records.vulnerability import Affected
from casemate.vuln import applies
from casemate.vuln.advisories import published
from casemate.vuln.inventory import Inventory, Thing
from tests.gate.made import FILE, finding
from tests.vuln.test_tracking import weakness

TORCH = next(one for one in published() if one.id == "GHSA-53q9-r3pm-6pq6")
ONNX = next(one for one in published() if one.id == "GHSA-ffxj-547x-5j7c")


def here(*things, complete=True):
    return Inventory("this environment", things, complete)


def package(name, version, **more):
    return Thing("package", name, "here", version, **more)


def status(notice, *things, complete=True):
    (found,) = applies.to_packages([notice], here(*things, complete=complete))
    return found.product.status, found.product.justification


def test_a_version_in_the_range_is_affected_and_told_what_to_do():
    (found,) = applies.to_packages([TORCH], here(package("torch", "2.5.1+cpu")))
    assert found.product.status == "affected"
    assert found.action == "upgrade torch to 2.6.0 or later"
    assert found.aliases == ("CVE-2025-32434",)
    assert found.score.value == 9.3


def test_absent_is_only_absent_where_the_list_is_complete():
    assert status(TORCH) == ("not-affected", "component_not_present")
    assert status(TORCH, complete=False) == ("under-investigation", None)


def test_a_repair_a_time_before_and_the_unknown_are_told_apart():
    assert status(TORCH, package("torch", "2.6.0")) == ("fixed", None)
    llama = next(one for one in published() if one.id == "GHSA-56xg-wfcc-g829")
    early = status(llama, package("llama-cpp-python", "0.2.20"))
    assert early == ("not-affected", "vulnerable_code_not_present")
    assert status(TORCH, package("torch", None)) == ("under-investigation", None)
    assert status(TORCH, package("torch", "main")) == ("under-investigation", None)
    assert status(TORCH, package("torch", "2.7.0", own_build=True))[0] == "under-investigation"
    assert status(TORCH, package("torch", "2.5.0", own_build=True))[0] == "affected"


def test_ranges_in_commits_alone_say_nothing_of_versions():
    concerned = TORCH.packages[0]._replace(ranges=(), partial=True)
    notice = TORCH._replace(packages=(concerned,))
    assert status(notice, package("torch", "2.5.0")) == ("under-investigation", None)


def test_a_file_that_makes_use_of_it_is_affected():
    seen = finding(rule="onnx-external-data-escapes")
    found = applies.to_files(published(), [seen, finding(rule="pickle-runs-shell")])
    assert {one.vulnerability for one in found} >= {ONNX.id}
    assert {one.product.name for one in found} == {FILE.uri}
    assert {one.product.status for one in found} == {"affected"}
    assert all(seen.message in one.because for one in found)


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("state", "thing", "wanted"),
    [
        ("confirmed", Thing("model", "fraud", "here"), "affected"),
        ("confirmed", Thing("model", "renamed", "here", digest=DIGEST), "affected"),
        ("mitigated", Thing("model", "fraud", "here"), "affected"),
        ("reported", Thing("model", "fraud", "here"), "under-investigation"),
        ("fixed", Thing("model", "fraud", "here"), "fixed"),
        ("fixed", Thing("model", "fraud", "here", digest=DIGEST), "affected"),
        ("confirmed", Thing("model", "fraud", "here", digest="sha256:" + "b" * 64),
         "under-investigation"),
    ],
)  # fmt: skip
def test_a_tracked_weakness_is_found_by_content_before_name(state, thing, wanted):
    (found,) = applies.to_tracked([weakness(state=state)], [thing])
    assert found.product.status == wanted
    assert found.because


def test_rejected_duplicates_and_strangers_get_no_statement():
    thing = Thing("model", "fraud", "here")
    assert applies.to_tracked([weakness(state="rejected")], [thing]) == []
    assert applies.to_tracked([weakness(state="duplicate")], [thing]) == []
    assert applies.to_tracked([weakness()], [Thing("model", "spam", "here")]) == []


def test_of_two_answers_the_worse_one_counts():
    two = (Affected(name="fraud", digests=("sha256:" + "c" * 64,)), *weakness().affected)
    one = msgspec.structs.replace(weakness(state="confirmed"), affected=two)
    (found,) = applies.to_tracked([one], [Thing("model", "fraud", "here", digest=DIGEST)])
    assert found.product.status == "affected"


def truth(notice, version):
    """Whether a version is in a range, worked out another way: by the packaging library."""
    mine = Version(Version(version).public)
    for concerned in notice.packages:
        for events in concerned.ranges:
            ends = {one.kind: one.version for one in events}
            begun = ends["introduced"] == "0" or mine >= Version(ends["introduced"])
            if "fixed" in ends:
                over = mine >= Version(ends["fixed"])
            else:
                over = "last_affected" in ends and mine > Version(ends["last_affected"])
            if begun and not over:
                return True
    return False


def test_two_hundred_seeded_environments_are_answered_exactly():
    rng = random.Random(200)
    notices = published()
    ends = {
        one.name: sorted({it.version for events in one.ranges for it in events})
        for notice in notices
        for one in notice.packages
    }
    right = wrong = 0
    for _ in range(200):
        chosen = rng.sample(sorted(ends), rng.randint(0, 8))
        things = []
        for name in chosen:
            near = rng.choice([it for it in ends[name] if it != "0"] or ["1.0"])
            version = rng.choice(
                (near, f"{near}.post1", f"{near}.dev1", "0.0.1", "99.0", f"{near}+cpu")
            )
            things.append(package(name, version))
        versions = {one.name: one.version for one in things}
        found = applies.to_packages(notices, here(*things))
        said = {one.vulnerability for one in found if one.product.status == "affected"}
        want = {
            one.id
            for one in notices
            if one.packages[0].name in versions and truth(one, versions[one.packages[0].name])
        }
        right += len(said & want)
        wrong += len(said ^ want)
    assert wrong == 0
    assert right > 200
