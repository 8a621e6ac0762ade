"""Programs that are recognised as hostile and would do nothing if they ran."""

import pickle

PROTOCOL_0 = b"cos\nsystem\n(S'true'\ntR."
"""`os.system("true")`, all of it text."""
_BODY = b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."
PROTOCOL_4 = b"\x80\x04\x95" + len(_BODY).to_bytes(8, "little") + _BODY
HARMLESS = pickle.dumps({"weights": [1.0, 2.0], "name": "m"}, protocol=4)
