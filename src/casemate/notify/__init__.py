"""Telling somebody: signed webhook, syslog, OCSF stream. Knows records and nothing above them."""
