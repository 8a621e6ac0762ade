"""The rule fires on its bad sample and not on the good one."""

from tests.corpus.shell_script import SAMPLES

from casemate.scan import scan_file


def test_it_fires_on_the_bad_sample_alone(tmp_path):
    for sample in SAMPLES:
        for data, fires in ((sample.bad(), True), (sample.good(), False)):
            (tmp_path / "setup").write_bytes(data)
            report = scan_file(tmp_path / "setup", root=tmp_path)
            assert (sample.rule in {found.rule for found in report.findings}) is fires
