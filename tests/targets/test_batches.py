from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from casemate.targets.batches import arrays_of, tensors_of


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_any_number_of_rows_is_fed_in_fours(n: int) -> None:
    seen: list[int] = []

    def double(x: Any) -> Any:
        seen.append(len(x))
        return x * 2

    x = np.arange(2.0 * n).reshape(n, 2)
    assert np.array_equal(arrays_of(double, 4)(x), x * 2)
    assert set(seen) == {4}
    tensor = torch.tensor(x, requires_grad=True)
    out = tensors_of(lambda t: (double(t), None), 4)(tensor)
    assert torch.equal(out, tensor * 2)
    (grad,) = torch.autograd.grad(out.sum(), tensor)
    assert (grad == 2).all()
