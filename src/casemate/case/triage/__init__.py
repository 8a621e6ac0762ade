"""Triage: the first report of a case, from the events on record alone.

`report.triage` is the door. `questions` asks the store, a few aggregates first and the events of
few principals then; `population` looks at everybody, `sessions` at what one caller or several that
work together did, `types` weighs what that is, `words` says it to a person.
"""
