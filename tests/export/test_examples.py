"""Adversarial inputs come out of the blob as the pictures and rows they are."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from casemate.errors import FormatError, StoreError
from casemate.export.examples import examples, worst
from casemate.export.report import Bundle
from tests.export.bundles import npz, run_record, tabular_bundle, trial


def opened(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    image.load()
    return image


def shown(x, adv, limit=1, **options):
    found = trial("evasion-fmn", eps=None, n=len(x), blob="sha256:" + "c" * 64)
    index = np.arange(len(x))
    return examples(found, lambda digest: npz(x, adv, index), limit=limit, **options)


@pytest.mark.parametrize(
    ("shape", "mode"),
    [
        ((8, 1, 6, 7), "L"),
        ((8, 6, 7), "L"),
        ((8, 3, 6, 7), "RGB"),
        ((8, 6, 7, 3), "RGB"),
        ((8, 6, 7, 1), "L"),
        ((8, 6, 7, 5), "L"),
    ],
)
def test_pixels_come_out_exactly(shape, mode):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, shape) / 255
    x[0].flat[:2] = 0, 1
    (one,) = shown(x, 1 - x)
    image = opened(one.original)
    assert (image.size, image.mode) == ((7, 6), mode)
    pixels = np.asarray(image) / 255
    expected = x[one.outcome.index]
    if shape[1] in (1, 3):
        expected = np.moveaxis(expected, 0, -1)
    if expected.shape[-1] == 5:
        expected = expected.mean(axis=-1)
    assert np.allclose(pixels, expected.squeeze(), atol=0.5 / 255 + 1e-9)


def test_the_difference_is_magnified_to_the_full_range_around_gray():
    x = np.full((4, 1, 5, 5), 0.5)
    x[:, 0, 4, 4], x[:, 0, 4, 3] = 1.0, 0.0
    adv = x.copy()
    adv[:, 0, 0, 0] += 0.1
    adv[:, 0, 1, 1] -= 0.1
    (one,) = shown(x, adv)
    pixels = np.asarray(opened(one.difference))
    assert (pixels[0, 0], pixels[1, 1], pixels[2, 2]) == (255, 0, 128)
    assert one.magnified == "5"


def test_large_pictures_are_made_small_and_bytes_and_signed_ranges_are_known():
    x = np.zeros((2, 3, 500, 640))
    x[:, :, :, 320:] = 255
    (one,) = shown(x, x + 0.0)
    assert max(one.width, one.height) <= 192
    assert np.asarray(opened(one.original)).max() == 255
    signed = np.linspace(-1, 1, 50).reshape(2, 1, 5, 5)
    (one,) = shown(signed, signed)
    assert np.asarray(opened(one.original)).min() in range(128)


def test_rows_mark_the_changed_columns_alone():
    bundle = tabular_bundle()
    found = examples(bundle.trials[0], bundle.blob, columns=bundle.columns, limit=2)
    for one in found:
        names = [change.name for change in one.changes]
        assert names[0] == "amount"
        assert len(names) + one.kept == 5
        assert one.changes[0].difference.startswith("−")


def test_many_changed_columns_are_cut_and_counted_and_missing_values_are_no_change():
    x = np.ones((3, 40))
    x[:, 0] = np.nan
    adv = x.copy()
    adv[:, 5:35] += 0.5
    (one,) = shown(x, adv)
    assert len(one.changes) == 12
    assert (one.more, one.kept) == (18, 10)
    assert one.changes[0].name == "x[5]"


def test_the_smallest_change_comes_first_one_of_each_class_before_seconds():
    found = trial("evasion-fmn", eps=None)
    chosen = worst(found, 6)
    assert chosen[0].distance == min(one.distance for one in found.outcomes if one.distance)
    assert len({one.label for one in chosen}) == 6
    assert all(one.clean and one.success for one in chosen)


@pytest.mark.parametrize("blob", [b"", b"not a zip", npz(np.ones(3), np.ones(4))[:-30]])
def test_a_damaged_blob_is_said(blob):
    found = trial("evasion-fmn", eps=None, blob="sha256:" + "c" * 64)
    with pytest.raises(FormatError):
        examples(found, lambda digest: blob)


def test_a_pickle_in_a_blob_is_not_loaded():
    stream = io.BytesIO()
    np.savez(stream, index=np.arange(2), x=np.array([{}, {}]), adv=np.array([{}, {}]))
    found = trial("evasion-fmn", eps=None, blob="sha256:" + "c" * 64)
    with pytest.raises(FormatError):
        examples(found, lambda digest: stream.getvalue())


def test_a_blob_that_is_gone_is_the_stores_word():
    found = trial("evasion-fmn", eps=None, blob="sha256:" + "c" * 64)
    with pytest.raises(StoreError):
        examples(found, Bundle(run=run_record()).blob)
    assert examples(trial("evasion-fmn", eps=None), Bundle(run=run_record()).blob) == []
