"""``python -m effkit``: the same as the `effkit` command."""

import sys

from effkit.course.cli import main

sys.exit(main())
