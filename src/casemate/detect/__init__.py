"""Detection: inline measures of each input, and near-line rules over the events.

Knows records and the catalog; never sees a socket. What it measures ends in `Event.measures`,
what it concludes in a `Detection`.
"""
