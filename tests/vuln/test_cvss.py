"""CVSS scores are those of the `cvss` library, and of the examples FIRST publishes."""

import pytest
from cvss import CVSS3, CVSS4

from casemate.errors import UsageError
from casemate.vuln import cvss3, cvss4, vectors
from tests.vuln.drawing import drawn

N = 2000


def test_version_4_equals_the_library():
    differ = [
        (one, cvss4.score(one), CVSS4(one).base_score)
        for one in drawn(cvss4.PREFIX, cvss4.METRICS, N, 40)
        if cvss4.score(one) != CVSS4(one).base_score
    ]
    assert differ == []


def test_version_3_equals_the_library():
    differ = [
        (one, cvss3.scores(one))
        for one in drawn(cvss3.PREFIX, cvss3.METRICS, N, 31)
        if tuple(cvss3.scores(one)) != tuple(float(it) for it in CVSS3(one).scores())
    ]
    assert differ == []


@pytest.mark.parametrize(
    ("vector", "score", "word"),
    [
        # Published with CVE-2025-32434 (torch.load) and CVE-2025-1550 (Keras).
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3, "critical"),
        ("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:P/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 7.3, "high"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0, "none"),
    ],
)
def test_a_published_score_of_version_4(vector, score, word):
    assert cvss4.score(vector) == score
    assert vectors.rating(score) == word


def test_a_published_score_of_version_3():
    log4shell = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"
    assert cvss3.scores(log4shell) == (10.0, 10.0, 10.0)


@pytest.mark.parametrize(
    "vector",
    [
        "",
        "CVSS:3.1/AV:N",
        "CVSS:4.0/AV:N",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/AV:N",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:Q",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/ZZ:N",
        "CVSS:4.0/AV:NA/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    ],
)
def test_what_is_no_vector_is_refused(vector):
    with pytest.raises(UsageError):
        cvss4.score(vector)
    with pytest.raises(UsageError):
        cvss3.scores(vector)
