"""What the rule must fire on, and the nearest thing on which it must not."""

from tests.corpus.samples import Sample

SAMPLES = [
    Sample("shell-script-among-weights", lambda: b"#!/bin/sh\ntrue\n", lambda: b"# a note\n"),
]
