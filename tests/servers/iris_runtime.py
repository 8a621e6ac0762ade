"""The model MLServer serves in the tests: a softmax over a linear map, weights beside it.

Runs inside MLServer's own environment, which has numpy and nothing of casemate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Iris(MLModel):
    """Answers `label` as text and `probabilities` as FP64."""

    async def load(self) -> bool:
        """Read the weights."""
        self.weights = np.loadtxt(Path(__file__).with_name("weights.csv"), delimiter=",")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer rows of four features."""
        (given,) = payload.inputs
        if given.name != "rows":
            raise ValueError(f"no input called {given.name}")
        z = NumpyCodec.decode_input(given) @ self.weights
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        names = [f"class-{i}" for i in p.argmax(axis=1)]
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                StringCodec.encode_output("label", names),
                NumpyCodec.encode_output("probabilities", p),
            ],
        )
