"""`python -m vtk`: the same as the command `vtk`."""

import sys

from vtk.cli.app import main

sys.exit(main())
