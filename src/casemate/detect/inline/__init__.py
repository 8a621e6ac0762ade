"""Judges on the path of the request: fingerprints, a bounded index, sketches, an input contract.

`judge.InlineJudge` is the door; the guard and the import of logs call it, detection rules read the
`Measures` it makes.
"""
