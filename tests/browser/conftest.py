"""One JupyterLab and one Chromium for all browser tests; `Lab` is what a student does in an open notebook."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

REPOSITORY = Path(__file__).parents[2]
NAME = "lab2_parameters"
BIN = Path(sys.executable).parent
TIMEOUT = 120  # seconds for anything that JupyterLab does; a loaded machine may need them
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # ask the web for nothing
    "notebook-extension/tracker": {"windowingMode": "none"},  # keep cells in the page that are out of sight
}
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
FIND = "const cell = jupyterapp.shell.currentWidget.content.widgets.find(cell => cell.model.sharedModel.id === id);"
KERNEL = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"

expect.set_options(timeout=30_000)  # what is expected is there as soon as the page draws it: `Lab` waits for all work


@dataclass(frozen=True)
class Lab:
    """A lab notebook open in JupyterLab, with its cells as the student gets them: their sources by id."""

    page: Page
    cells: dict[str, str]

    @property
    def panel(self) -> Locator:
        """Return the notebook with its toolbar."""
        return self.page.locator(PANEL)

    def write(self, cell_id: str, source: str) -> None:
        """Replace what a cell says."""
        self.page.evaluate(f"([id, source]) => {{ {FIND} cell.model.sharedModel.setSource(source) }}", [cell_id, source])

    def run(self, cell_id: str) -> Locator:
        """Run a cell as Run > Run Selected Cell does, and return its output once the kernel is idle again."""
        start = f"""id => {{
            {FIND}
            const index = cell.parent.widgets.indexOf(cell), before = cell.model.executionCount;
            cell.parent.activeCellIndex = index;
            jupyterapp.commands.execute('notebook:run-cell');
            return [index, before];
        }}"""
        ended = f"""([id, before]) => {{
            {FIND}
            const count = cell.model.executionCount;
            return count !== null && count !== before && {KERNEL}.status === 'idle';
        }}"""
        index, before = self.page.evaluate(start, cell_id)
        self.page.wait_for_function(ended, arg=[cell_id, before])
        return self.panel.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea-output")

    def run_all(self) -> Locator:
        """Run all cells from the menu and return the output of the last one."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        ended = f"id => {{ {FIND} return cell.model.executionCount !== null && {KERNEL}.status === 'idle'; }}"
        self.page.wait_for_function(ended, arg=list(self.cells)[-1])
        return self.panel.locator(".jp-Notebook .jp-Cell").last.locator(".jp-OutputArea-output")

    def check(self, task: str, source: str = "") -> Locator:
        """Write the task's solution cell if there is a source, run it and its check; return what the check shows."""
        if source:
            self.write(f"{task}-solution", source)
        self.run(f"{task}-solution")
        return self.run(task)

    def progress(self) -> Locator:
        """Run the last cell and return the table it shows."""
        return self.run(list(self.cells)[-1])

    def validate(self) -> Locator:
        """Click nbgrader's Validate in the toolbar and return the dialog with its results."""
        self.panel.get_by_role("button", name="Validate").click()
        dialog = self.page.locator(".jp-Dialog", has_text="Validation Results")
        dialog.wait_for()
        return dialog

    def use_theme(self, theme: str) -> None:
        """Choose Settings > Theme > `theme`."""
        self.page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}) }", theme)
        self.page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")

    def picture(self, name: str, target: Locator) -> None:
        """Save a picture with `target` in its middle to the folder that EFFKIT_SCREENSHOTS names, if it is set."""
        if folder := os.environ.get("EFFKIT_SCREENSHOTS"):
            target.evaluate("element => element.scrollIntoView({block: 'center'})")
            self.page.screenshot(path=Path(folder) / f"{name}.png")


def read_cells(folder: str) -> dict[str, str]:
    """Return the sources of the notebook's cells by their ids; `folder` is labs or solutions."""
    notebook = json.loads((REPOSITORY / folder / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}


@pytest.fixture(scope="session")
def solution() -> dict[str, str]:
    """Return the cells of the solved lab, sources by id."""
    return read_cells("solutions")


@pytest.fixture(scope="session")
def new_user(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a user with a home and Jupyter settings of their own."""
    home = tmp_path_factory.mktemp("home")
    for name, settings in SETTINGS.items():
        file = home / "config/lab/user-settings/@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    return inherited | {
        "HOME": str(home),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }


@dataclass(frozen=True)
class Server:
    """A running JupyterLab and the folder that it serves."""

    port: int
    token: str
    folder: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, new_user: dict[str, str]) -> Iterator[Server]:
    """Start JupyterLab on an empty folder and a free port; end it with all its kernels."""
    with jupyterlab(tmp_path_factory.mktemp("course"), new_user) as server:
        yield server


@contextmanager
def jupyterlab(folder: Path, new_user: dict[str, str]) -> Iterator[Server]:
    """Run JupyterLab in a folder on a free port; end it with all its kernels."""
    log = Path(new_user["HOME"], f"server-{folder.name}.log")
    command = [BIN / "jupyter", "lab", "--no-browser", "--port=0", "--expose-app-in-browser"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=new_user, stdout=out, stderr=out, start_new_session=True)
    try:
        about = _wait_for(process, Path(new_user["JUPYTER_RUNTIME_DIR"]), log)
        yield Server(about["port"], about["token"], folder)
    finally:
        _end(process)


def _wait_for(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> dict[str, Any]:
    """Return what the server writes about itself when it listens."""
    file = runtime / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        if file.exists() and (text := file.read_text()):
            return json.loads(text)
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server: it ends its kernels itself; if it does not, the whole process group goes."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the Chromium (or Chrome) of this computer."""
    programs = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    program = next(filter(None, programs), None)
    if program is None:
        pytest.fail("The browser tests need Chromium: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def lab(server: Server, browser: Browser, tmp_path: Path) -> Iterator[Lab]:
    """Open a fresh copy of the student's notebook, alone in its folder, in a new window with a kernel of its own.

    Whatever a test does in it, nothing may fail in the page and JupyterLab may not report an error.
    """
    folder = server.folder / tmp_path.name
    folder.mkdir()
    shutil.copy(REPOSITORY / "labs" / NAME / f"{NAME}.ipynb", folder)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(TIMEOUT * 1000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{server.port}/lab/tree/{folder.name}/{NAME}.ipynb?token={server.token}&reset")
    page.wait_for_function("window.jupyterapp?.restored.then(() => true)")
    page.wait_for_function(f"{KERNEL}?.connectionStatus === 'connected' && {KERNEL}.status === 'idle'")
    yield Lab(page, read_cells("labs"))
    toasts = page.locator(".Toastify__toast--error, .Toastify__toast--warning").all_inner_texts()
    page.evaluate("() => { jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
    page.wait_for_function(f"!{KERNEL}")
    context.close()
    assert not errors, "an error in the page"
    assert not toasts, "JupyterLab reports an error"
