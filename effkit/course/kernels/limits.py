"""What one submission may use of the machine that grades it."""

from dataclasses import dataclass

_MB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Seconds are those that its processes compute, added up, and those in which all of them sleep. Time in which they
    wait for a busy machine is not counted, so that nobody else's load times a student out.
    """

    cell_seconds: float = 60
    notebook_seconds: float = 300
    wall_factor: float = 10  # a cell or notebook that takes this many times its seconds by the clock is stopped too
    memory_bytes: int = 4096 * _MB  # of all processes together
    scratch_bytes: int = 256 * _MB  # of /tmp, the only place for files
    file_bytes: int = 200 * _MB
    processes: int = 256  # and threads
    open_files: int = 1024
    message_bytes: int = 32 * _MB  # of one message that a kernel sends
    cell_output_bytes: int = 2 * _MB
    notebook_output_bytes: int = 16 * _MB
    cell_outputs: int = 200  # separate outputs of a cell
    start_seconds: float = 120  # by the clock, for a kernel to start
