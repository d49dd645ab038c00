# SPDX-License-Identifier: BSD-2-Clause
"""The parts and fixtures of tests/integration, for tests with the programs that operators have. Run them by scripts/test-integrations."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from fixtures import *  # pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position
