"""nbgrader's configuration for this course: `nbgrader autograde LAB` grades with the trusted judge of effkit."""

from pathlib import Path

from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.preprocessors import ClearOutput, DeduplicateIds, Execute, GetGrades, LimitOutput

from effkit.course.execute_step import ExecuteSubmission
from effkit.course.harmless import RemoveActiveContent
from effkit.course.preprocessors import Stamp, SummarizeFeedback, TrustedScore
from effkit.course.restore import RestoreCells
from effkit.course.strays import RemoveStrays

c = get_config()  # type: ignore[name-defined]  # noqa: F821  jupyter puts it there

c.CourseDirectory.course_id = "effkit"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"

# nbgrader copies every file beside a notebook. A solution's source must not reach the students, and code that a student
# puts beside a notebook must not shadow a real module while it is graded. Labs need no files: data ships in effkit.
_beside_solutions = {p.name for p in Path(__file__).parent.glob("solutions/*/*") if p.suffix != ".ipynb"}
_code = {"*.py", "*.pyc", "*.pyd", "*.so", "*.dll", "*.dylib", "*.pth", "__pycache__"}
c.CourseDirectory.ignore = sorted({".ipynb_checkpoints", "feedback"} | _code | _beside_solutions)

c.ClearSolutions.code_stub = {"python": "raise NotImplementedError  # replace this line with your code"}
c.ClearSolutions.text_stub = "*Replace this line with your answer.*"
c.GenerateAssignment.preprocessors = [*GenerateAssignment.preprocessors.default_args[0], Stamp]

# Keep the notebook only; put changed, deleted and copied cells right; execute so that a dying kernel costs only its own
# cell; judge the answers in this process; leave nothing that a browser would run; begin the feedback with a table of every
# task and why points were lost.
_own = {
    ClearOutput: [RemoveStrays, ClearOutput],
    DeduplicateIds: [RestoreCells],
    Execute: [ExecuteSubmission, TrustedScore],
    LimitOutput: [LimitOutput, RemoveActiveContent],
    GetGrades: [SummarizeFeedback],
}
for _converter, _chain in (
    (Autograde, "sanitize_preprocessors"),
    (Autograde, "autograde_preprocessors"),
    (GenerateFeedback, "preprocessors"),
):
    _stock = getattr(_converter, _chain).default_args[0]
    c[_converter.__name__][_chain] = [own for stock in _stock for own in _own.get(stock, [stock])]
c.ExecutePreprocessor.timeout = 60  # seconds that a cell may compute; a check stops a call itself after 5 s
# Kernels run in a sandbox, which needs bubblewrap on Linux. To grade without, and let submissions read and change
# whatever you can: c.ExecuteSubmission.unsafe_no_sandbox = True
