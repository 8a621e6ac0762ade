"""What can be attacked: models behind one small set of capabilities, and the data to attack with.

Stands below attack and the workflows; a target knows its framework or its wire protocol and
nothing about attacks. `open_target` and `open_data` are the two doors.
"""
