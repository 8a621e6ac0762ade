"""Kinds of zip archive are told by what their loader needs, not by what it also writes."""

import io
import zipfile

import pytest

from casemate.formats.source import BytesSource
from casemate.formats.zip_kinds import is_keras, is_model_archive, is_skops


def archive(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, "{}")
    return BytesSource(out.getvalue(), "a.zip")


@pytest.mark.parametrize(
    "names",
    [
        ("metadata.json", "config.json", "model.weights.h5"),
        ("config.json", "model.weights.h5"),
        ("config.json", "model.weights.npz"),
        ("config.json", "metadata.json"),
    ],
)
def test_a_keras_archive_needs_no_metadata(names):
    assert is_keras(archive(*names))


def test_other_archives_are_none():
    assert not is_keras(archive("config.json"))
    assert not is_keras(archive("model.weights.npz"))
    assert not is_skops(archive("config.json"))
    assert is_skops(archive("schema.json", "a.npy"))
    assert is_model_archive(archive("MAR-INF/MANIFEST.json"))
