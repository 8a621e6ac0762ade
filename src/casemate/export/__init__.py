"""Records out as json, sarif, junit, md and html."""
