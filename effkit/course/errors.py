"""What a command of the course says when it cannot go on."""


class CourseError(Exception):
    """Something about the course or a submission that a person has to put right; the message says what to do."""
