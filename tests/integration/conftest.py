# SPDX-License-Identifier: BSD-2-Clause
"""What pytest finds here: fixtures.py, which tests/integrations uses as well."""

from fixtures import *  # pylint: disable=wildcard-import,unused-wildcard-import
