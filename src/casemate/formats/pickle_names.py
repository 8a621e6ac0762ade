"""Which object an import in a pickle stands for: the rules of CPython's `find_class`.

Before protocol 3 Python 2 names are mapped to those of Python 3 (`fix_imports`, on unless the
caller turns it off). From protocol 4 a name may hold dots and each part is looked up in turn;
before that a dot is an ordinary character.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING


def resolve(module: str, name: str, protocol: int) -> tuple[str, str]:
    """Return module and name as the unpickler of Python 3 takes them.

    Args:
        module: As written in the stream.
        name: As written in the stream.
        protocol: The one declared last before the opcode; 0 when none was.
    """
    if protocol < 3:
        if (module, name) in NAME_MAPPING:
            return NAME_MAPPING[(module, name)]
        module = IMPORT_MAPPING.get(module, module)
    return module, name
