"""What an examination of a submission gives: findings in plain sentences, and the notebook put right."""

from dataclasses import dataclass

from nbformat import NotebookNode


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, in one line that also says what to do."""

    kind: str  # a few words that group findings of one sort: "duplicated", "renamed", "not JSON"
    cell: str  # the name of the graded cell that it is about; empty if it is about the file
    sentence: str
    repaired: bool  # whether the notebook given back no longer has it


@dataclass(frozen=True)
class Examination:
    """The outcome for one submission. A notebook of None means that it cannot be graded, and a finding says why."""

    notebook: NotebookNode | None
    findings: tuple[Finding, ...] = ()

    @property
    def problem(self) -> str:
        """Return why there is no notebook and what a grader can do, in one line; empty if there is one."""
        if self.notebook is not None:
            return ""
        return f"{self.findings[0].sentence} To grade it, ask the student to submit it again."
