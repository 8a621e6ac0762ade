"""How MLServer serves the demo's digit reader: runs in MLServer's own environment.

MLServer starts it in the folder of the demo's model, so that `model.py` is the very file assessed.
"""

from __future__ import annotations

import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from model import load


class Digits(MLModel):
    """Takes `pixels` (n, 1, 28, 28) and answers `probabilities` (n, 10)."""

    async def load(self) -> bool:
        """Read the trained network."""
        torch.set_num_threads(1)
        self.network = load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer images."""
        pixels = NumpyCodec.decode_input(payload.inputs[0]).astype("float32")
        with torch.no_grad():
            scores = self.network(torch.from_numpy(pixels)).softmax(1).numpy()
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", scores)]
        )
