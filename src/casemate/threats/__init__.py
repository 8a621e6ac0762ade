"""Threats: from a description of the system to the attacks that apply to it, and why.

Stands between init, which writes the first description, and assess, which tries what applies.
"""

from casemate.threats.applies import only_model, threats

__all__ = ["only_model", "threats"]
