"""`python -m casemate` is the command line."""

import sys

from casemate.cli import main

sys.exit(main())
