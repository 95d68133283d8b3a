"""The student bundle: what goes into it, and what must be true of it before anybody gets it."""
