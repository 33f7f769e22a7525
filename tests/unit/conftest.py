"""The model computes here as it does in its own process: numpy reads once how many threads it may have."""

import os

from wellhead.runtime.__main__ import SINGLE_THREAD

os.environ.update(SINGLE_THREAD)
