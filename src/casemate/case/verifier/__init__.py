"""The verifier of evidence bundles: standard library only, joined into one file by `one_file`."""
