"""Values on the command line that more than one command takes."""

import argparse


def seed(argument: str) -> int:
    """Return a seed that also the kernel can read from its environment."""
    if not argument.isdecimal() or int(argument) >= 2**31:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to {2**31 - 1}, not {argument!r}")
    return int(argument)


def at_least_one(argument: str) -> int:
    """Return a number of workers."""
    if not argument.isdecimal() or not 1 <= int(argument) <= 1024:
        raise argparse.ArgumentTypeError(f"must be an integer from 1 to 1024, not {argument!r}")
    return int(argument)
