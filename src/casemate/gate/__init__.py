"""Records and a bug bar in, a verdict out."""
