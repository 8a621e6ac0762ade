"""Papers written for a case: kept, numbered, on its log, and filled once somebody has answered."""

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.store.cases import CaseBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.workflows import cases, collecting, papers
from tests.export.weaknesses_made import weakness
from tests.workflows.casefile import opened


@pytest.fixture
def file(tmp_path):
    made = opened(tmp_path)
    yield made
    made.workspace.close()


def write(file, kind):
    return papers.write_paper(file.loaded, file.workspace, file.case, kind, by="ana")


@pytest.mark.parametrize("kind", papers.KINDS)
def test_each_kind_is_written_twice_over_and_put_on_the_log(kind, file):
    path = write(file, kind)
    assert path.parent == collecting.folder_of(file.workspace, file.case) / "papers"
    assert path.name == f"{kind}-1.md"
    assert path.read_text().startswith("# ")
    page = path.with_suffix(".html").read_text()
    assert page.startswith("<!doctype html>")
    line = CaseBook(file.workspace).log(file.case).actions[-1]
    assert line.kind == ("handed-over" if kind == "handover" else "written")
    assert line.details["kind"] == kind
    assert line.details["blanks"] > 0
    assert "mallory" not in line.text
    assert write(file, kind).name == f"{kind}-2.md"
    assert path.is_file()


def test_an_answer_fills_its_blank(file):
    before = write(file, "data-breach").read_text()
    assert "case tell" in before
    assert "people_affected=..." in before
    cases.tell(file.workspace, file.case, {"people_affected": 41, "personal_data": True}, by="ana")
    after = write(file, "data-breach").read_text()
    assert "people_affected=..." not in after
    assert "| People, about | 41 |" in after


@pytest.mark.parametrize("kind", [kind for kind in papers.KINDS if kind != "handover"])
def test_only_the_handover_names_callers(kind, file):
    assert "mallory" in write(file, "handover").read_text()
    path = write(file, kind)
    assert "mallory" not in path.read_text()
    assert "mallory" not in path.with_suffix(".html").read_text()


def test_what_is_no_paper_is_refused(file):
    with pytest.raises(UsageError, match="no paper 'poem'") as error:
        write(file, "poem")
    assert "postmortem" in error.value.hint


def test_a_case_whose_weakness_is_gone_still_has_papers(file):
    file.replace(vulnerabilities=("cmv-2026-9999",))
    assert write(file, "postmortem").is_file()


@pytest.mark.parametrize("kind", [kind for kind in papers.KINDS if kind != "handover"])
def test_a_weakness_with_an_old_title_names_no_caller_in_a_paper(kind, file):
    words = {"title": "Perturbation of digits by mallory", "remedy": "block mallory"}
    VulnerabilityBook(file.workspace).open(
        2026, lambda ident, _: msgspec.structs.replace(weakness(**words), id=ident)
    )
    file.replace(vulnerabilities=("cmv-2026-0001",), facts={"root_cause": "mallory"})
    path = write(file, kind)
    assert "mallory" not in path.read_text()
    assert "mallory" not in path.with_suffix(".html").read_text()
    if kind in ("postmortem", "advisory-note"):
        assert "Perturbation of digits by caller 1" in path.read_text()
