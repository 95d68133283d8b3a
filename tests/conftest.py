"""One profile for every property test: the same examples in each run, and no time limit on a slow machine."""

from hypothesis import settings

settings.register_profile("effkit", derandomize=True, deadline=None, database=None)
settings.load_profile("effkit")
