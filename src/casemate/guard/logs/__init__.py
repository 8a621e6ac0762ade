"""Logs that other software keeps, read as requests and answers: traffic no guard has seen.

Files to lines, lines to `Logged`, halves to pairs. Pure but for reading the files; nothing in a
log is ever executed, and what cannot be read is counted by reason, with its line.
"""
