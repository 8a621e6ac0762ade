"""The vocabulary: everything that passes between parts of casemate is one of these records.

Each record is a frozen struct in a file of its own, tagged with its name and version. Records are
built with `casemate.records.make.make`, which validates; constructors do not.
"""
