"""Running notebooks: a fresh kernel for each, several at a time, and only clean outputs kept."""

import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL

from coursekit.environment import ONE_THREAD, environment
from coursekit.figures import PICTURE
from coursekit.files import BookError, failed

TIMEOUT = 300  # seconds for one cell
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
ADDRESS = re.compile(r"\b0x[0-9a-f]{8,}\b", re.IGNORECASE)


async def execute_all(notebooks, root, jobs, finished):
    """Execute notebooks in place.

    Args:
        notebooks: list of `(page, notebook, folder)`; the kernel runs in `folder`.
        root: the folder that holds numpygpt.
        jobs: how many run at the same time.
        finished: called with `(number in the list, seconds, None or BookError)` after each.
    """
    gate = asyncio.Semaphore(jobs)

    async def one(number, page, notebook, folder, scratch):
        async with gate:
            start = time.perf_counter()
            try:
                await execute(page, notebook, root, folder, scratch)
                problem = None
            except BookError as error:
                problem = error
            except OSError as error:
                problem = BookError(f"{page.path}: could not be run: {failed(error)}")
            finished(number, time.perf_counter() - start, problem)

    with tempfile.TemporaryDirectory() as scratch:
        async with asyncio.TaskGroup() as group:
            for number, (page, notebook, folder) in enumerate(notebooks):
                place = Path(scratch, str(number))
                place.mkdir()
                group.create_task(one(number, page, notebook, folder, place))


async def execute(page, notebook, root, folder, scratch):
    """Execute one notebook in place.

    Args:
        page: the source, to name places in errors.
        notebook: an `nbformat` notebook.
        root: the folder that holds numpygpt.
        folder: where the kernel runs.
        scratch: an empty folder for the kernel's own files.

    Raises:
        BookError: if a cell fails or shows what it should not.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    saved = scratch / f"{page.name}.ipynb"
    saved.write_text(nbformat.writes(notebook), encoding="utf-8")
    manager = AsyncKernelManager(
        # No folders to look in: always this Python, whatever kernels the user has installed.
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        connection_file=str(scratch / "kernel.json"),
    )
    client = NotebookClient(
        notebook, km=manager, timeout=TIMEOUT, coalesce_streams=True, record_timing=False
    )
    try:
        await manager.start_kernel(
            cwd=str(folder),
            env=environment(scratch, root) | ONE_THREAD | {"COURSEKIT_NOTEBOOK": str(saved)},
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        client.kc = manager.client()
        client.kc.start_channels()
        try:
            await client.kc.wait_for_ready(timeout=60)
        except RuntimeError as error:
            raise BookError(f"{page.path}: no kernel: {error}") from None
        client.kc.allow_stdin = False
        for index, cell in enumerate(notebook.cells):
            try:
                await client.async_execute_cell(cell, index)
            except CellExecutionError as error:
                raise BookError(failure(page, index, cell, error)) from None
            except CellTimeoutError:
                raise BookError(f"{page.where(index)}: takes longer than {TIMEOUT} s") from None
            except DeadKernelError:
                if asyncio.current_task().cancelling():  # nbclient takes Ctrl-C for a dead kernel
                    raise asyncio.CancelledError from None
                raise BookError(f"{page.where(index)}: the kernel died") from None
            if cell.cell_type == "code":
                tidy(cell)
                if problem := unfit(cell, root):
                    raise BookError(f"{page.where(index)}: {problem}")
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)


def failure(page, index, cell, error):
    """One line for a cell that raised: the place, the error, and the line of the source."""
    shown = COLOURS.sub(
        "",
        "\n".join(
            o.traceback and "\n".join(o.traceback) or ""
            for o in cell.outputs
            if o.output_type == "error"
        ),
    )
    numbers = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", shown)
    line = int(numbers[-1]) if numbers else 1
    source = (cell.source.split("\n") + [""])[line - 1].strip()
    message = " ".join(f"{error.ename}: {error.evalue}".split())
    return f"{page.where(index, line)}: {message}\n    {source}"


def tidy(cell):
    """Take out of a cell's outputs what differs from machine to machine."""
    for output in cell.outputs:
        if output.output_type == "error":
            # Frames in files: their paths are this machine's.
            output.traceback = [
                frame
                for frame in output.traceback
                if not COLOURS.sub("", frame).startswith("File ")
            ]


def unfit(cell, root):
    """Why a cell's outputs cannot go into the book, or None."""
    tags = cell.metadata.get("tags", [])
    raises = "raises-exception" in tags
    if raises and not any(output.output_type == "error" for output in cell.outputs):
        return "is tagged raises-exception, and raises none"
    for output in cell.outputs:
        if output.output_type == "stream":
            texts = [output.text]
            if output.name == "stderr" and not raises:
                return f"writes to stderr: {output.text.strip().splitlines()[0]}"
        elif output.output_type == "error":
            texts = [output.evalue, *output.traceback]
        else:
            texts = [str(v) for kind, v in output.data.items() if not kind.startswith("image/")]
        for text in texts:
            text = re.sub(PICTURE, "", COLOURS.sub("", text))
            if found := ADDRESS.search(text):
                return f"shows a memory address, which is another on every run: {found.group()}"
            for folder in (str(root), sys.prefix):
                if folder in text:
                    return f"shows a path of this machine: {folder}"
    return None
