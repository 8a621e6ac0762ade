from __future__ import annotations

from casemate.targets.settings import Settings


def test_nothing_stated_means_find_out() -> None:
    settings = Settings()
    assert settings.bounds is None
    assert settings.scores is None
    assert settings.threshold is None
    assert settings._replace(threshold=0.3).threshold == 0.3
