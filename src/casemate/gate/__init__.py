"""The gate: findings and trials against a bug bar, an accepted baseline and waivers, to a Verdict.

`judge.judge` decides; `bar`, `baseline` and `waivers` read what it decides by; `compare` says
whether a measure fell further than chance explains. Nothing here runs a model or reads an artifact.
"""
