"""The catalog: what casemate knows, as data, one TOML file per entry; and the small loader for it.

A file's stem is its id, its docs anchor and its suppression key, unique across kinds.
"""
