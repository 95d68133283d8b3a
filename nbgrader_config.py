"""nbgrader's configuration for this course: `nbgrader autograde LAB` grades with the trusted judge of effkit."""

from pathlib import Path

from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.preprocessors import DeduplicateIds, Execute, GetGrades

from effkit.course.preprocessors import ExecuteSubmission, Stamp, SummarizeFeedback, TrustedScore
from effkit.course.restore import RestoreCells

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

# Put changed, deleted and copied cells right; execute so that a dying kernel costs only its own cell; judge the answers in
# this process; begin the feedback with a table of every task and why points were lost.
_own = {DeduplicateIds: [RestoreCells], Execute: [ExecuteSubmission, TrustedScore], GetGrades: [SummarizeFeedback]}
for _converter, _chain in (
    (Autograde, "sanitize_preprocessors"),
    (Autograde, "autograde_preprocessors"),
    (GenerateFeedback, "preprocessors"),
):
    _stock = getattr(_converter, _chain).default_args[0]
    c[_converter.__name__][_chain] = [own for stock in _stock for own in _own.get(stock, [stock])]
c.ExecutePreprocessor.timeout = 60  # seconds for each cell; a check stops a call itself after 5 s of CPU time
c.ExecutePreprocessor.iopub_timeout = 20
c.ExecuteSubmission.shutdown_kernel = "immediate"
c.ExecuteSubmission.extra_arguments = [
    "--IPKernelApp.log_level=40",  # kernels report errors only, not how they connect
    "--IPKernelApp.exec_lines=import sys; exit = quit = sys.exit",  # exit() ends its cell and not the kernel
]
