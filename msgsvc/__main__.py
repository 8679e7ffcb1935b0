"""``python -m msgsvc``."""

import sys

from msgsvc.cli import main

sys.exit(main())
