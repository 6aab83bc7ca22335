"""`python -m cli` is `parley`."""

import sys

from cli.main import main

sys.exit(main())
