"""casemate: the security development lifecycle for machine-learning systems, as one tool.

Import what you need from the package that does it: `from casemate.scan import scan`,
`from casemate.workflows.assess import assess`. Importing this package loads nothing else.
"""

__version__ = "0.1.0"
