"""Settings that all tests share."""

import os

from hypothesis import settings

# The same examples on every run, so that a failure is a change of the code; HYPOTHESIS_PROFILE=default explores.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
