"""Smooth noise: unit vectors, low frequencies for images, whole vectors for tables."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.evasion.waves import bands, cosines, decode, noise


@pytest.mark.parametrize("shape", [(3, 32, 32), (32, 32, 3), (32, 20), (40,), (1, 4, 4)])
def test_noise_is_of_length_one_and_decodes_from_its_coefficients(shape):
    like = np.zeros((1, *shape), np.float32)
    code, waves = noise(like, 6, 5, np.random.default_rng(0))
    assert waves.shape == (6, *shape)
    np.testing.assert_allclose(np.linalg.norm(waves.reshape(6, -1), axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(decode(code, like), waves)


def test_an_image_of_few_frequencies_is_smooth():
    like = np.zeros((1, 1, 64, 64), np.float32)
    _, smooth = noise(like, 8, 4, np.random.default_rng(0))
    _, rough = noise(like, 8, 64, np.random.default_rng(0))
    jumps = [np.abs(np.diff(waves, axis=3)).mean() for waves in (smooth, rough)]
    assert jumps[0] < 0.2 * jumps[1]


def test_vectors_and_small_sides_are_probed_whole():
    assert bands(np.zeros((1, 40)), 0) == (1, 40)
    assert bands(np.zeros((1, 1, 10, 100)), 0) == (10, 25)
    assert bands(np.zeros((1, 1, 28, 28)), 0) == (14, 14)


def test_cosines_are_orthonormal():
    basis = cosines(9, 9)
    np.testing.assert_allclose(basis @ basis.T, np.eye(9), atol=1e-12)
