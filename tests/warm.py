"""Programs for the tests, forked from one that has imported what every notebook imports.

A kernel takes half a second of a processor before its first cell, and nbval as much before its
first notebook; the tests of the exercises start some three hundred. Here a server imports it all
once, and a small program asks it for a fork that does what `python -m MODULE` would, and passes
signals on. Whoever sets a variable that Python or NumPy reads when it begins, or runs where a file
has the name of a module that is imported already, gets a process of their own, as a reader does.

Imported by conftest, this module starts the server where there are workers, and has their kernels
come from it. `python warm.py serve SOCKET` is the server, which ends with its standard input;
`python warm.py ask SOCKET python -m MODULE …` is the small program.
"""

import array
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time

WHERE = "NUMPYGPT_WARM"  # the variable that holds where the server listens
# Read once, when Python or a library begins: a fork has what the server had.
AT_START = ("PYTHON", "OPENBLAS", "OMP_", "MKL_", "MPLCONFIG", "MATPLOTLIB", "LANG", "LC_", "LD_")
# Except for these: `become` does what they say, files are UTF-8 anyway, a kernel has no buffers.
TAKEN_OVER = ("PYTHONPATH", "MATPLOTLIBRC", "PYTHONUTF8", "PYTHONUNBUFFERED")


def at_start(variables):
    """The variables that a fork cannot take over."""
    names = sorted(n for n in variables if n.startswith(AT_START) and n not in TAKEN_OVER)
    return [[name, variables[name]] for name in names]


# ---- the server: it knows nothing of this project


def serve(path):
    """Listen at `path`, and fork for each that asks, until our standard input ends."""
    import gc

    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # would print a warning
    import ipykernel.debugger
    import ipykernel.ipkernel
    import ipykernel.kernelapp
    import jupyter_client.manager  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import matplotlib_inline.backend_inline  # noqa: F401
    import nbformat  # noqa: F401
    import pytest  # noqa: F401

    ipykernel.kernelapp.IPKernelApp.parent_handle.default_value = 1  # nobody it need look after
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    mine, clients = at_start(os.environ), {}  # clients: {process: who waits for its end}
    gc.freeze()
    ready = []
    while 0 not in ready:
        ready, _, _ = select.select([0, listening, *clients.values()], [], [], 0.05)
        for process in [process for process, client in clients.items() if client in ready]:
            pass_on(process, signal.SIGKILL)  # whoever asked is gone
        if listening in ready:
            client, _ = listening.accept()
            if process := fork(client, [listening, *clients.values()], mine):
                clients[process] = client
        while clients and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with contextlib.suppress(OSError), clients.pop(ended[0]) as client:
                client.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
    for process in clients:
        pass_on(process, signal.SIGKILL)


def fork(client, others, mine):
    """Do what a client asks for, in a child; return its number, or None if it must do it itself."""
    said, files, _, _ = socket.recv_fds(client, 1 << 20, 3)
    while not said.endswith(b"\n"):
        said += client.recv(1 << 20)
    about, process = json.loads(said), None
    if at_start(about["env"]) != mine or hides(about):
        client.sendall(b"no\n")
        client.close()
    elif process := os.fork():
        client.sendall(b"%d\n" % process)
    else:
        for other in [client, *others]:
            other.close()
        become(about, files)
    for file in files:
        os.close(file)
    return process


def hides(about):
    """Whether a file where it is to run would be imported in place of what the server imported."""
    for folder in [about["cwd"], *about["env"].get("PYTHONPATH", "").split(os.pathsep)]:
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                name = entry.name.removesuffix(".py")
                if name not in sys.modules:
                    continue
                if entry.name != name or os.path.exists(os.path.join(entry.path, "__init__.py")):
                    return True
    return False


def become(about, files):
    """Be `python -m MODULE …`, where and with the files and variables of whoever asked."""
    import runpy

    import matplotlib

    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.setsid()
    os.chdir(about["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(about["env"])
    folders = about["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [about["cwd"], *filter(None, folders)]  # in place of this file's own folder
    matplotlib.rcParams.update(matplotlib.rc_params())  # MATPLOTLIBRC may name another file
    inline = "module://matplotlib_inline.backend_inline"  # ipykernel's own default
    matplotlib.rcParams["backend"] = about["env"].get("MPLBACKEND") or inline
    module, code = about["command"][2], 1
    if module == "pytest":
        kernels_from_the_server()
    sys.argv = [module, *about["command"][3:]]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


# ---- the small program


def ask(path, command):
    """Have the server run a command, pass signals on to it, and end as it ends."""
    about = {"command": command, "cwd": os.getcwd(), "env": dict(os.environ)}
    said, files = json.dumps(about).encode() + b"\n", array.array("i", [0, 1, 2])
    with connected(path) as server:
        sent = server.sendmsg([said], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        if rest := said[sent:]:  # to send nothing fails, too, where the server has closed
            server.sendall(rest)
        heard = server.makefile()
        process = heard.readline().strip()
        if process == "no":
            os.execv(command[0], command)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: pass_on(int(process), number))
        parent = os.getppid()
        while not select.select([server], [], [], 1)[0]:
            if os.getppid() != parent:  # then nobody waits for it
                return 1
        code = int(heard.readline() or 1)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def connected(path, patience=60):
    """A socket to the server, which may be busy with its imports yet."""
    end = time.monotonic() + patience
    while True:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(path)
            return server
        except (FileNotFoundError, ConnectionRefusedError):
            server.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def pass_on(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, number)


# ---- what the tests use


def warm(command):
    """A command `python -m MODULE …`, as one that the server runs, if there is one."""
    if WHERE not in os.environ or command[:2] != [sys.executable, "-m"]:
        return command
    return [sys.executable, "-IS", __file__, "ask", os.environ[WHERE], *command]


def pytest_configure(config):
    """Start the server for the workers, if there are any, and have kernels come from it."""
    import subprocess
    import tempfile

    if getattr(config.option, "numprocesses", None) and sys.platform == "linux":
        folder = tempfile.TemporaryDirectory(prefix="warm-")
        os.environ[WHERE] = os.path.join(folder.name, "socket")  # 107 letters at most
        program = [sys.executable, __file__, "serve", os.environ[WHERE]]
        server = subprocess.Popen(program, stdin=subprocess.PIPE)

        def stop():
            del os.environ[WHERE]
            server.communicate()
            folder.cleanup()

        config.add_cleanup(stop)
    config.add_cleanup(kernels_from_the_server())


def kernels_from_the_server():
    """Have the kernels of this process be forks; return what undoes it."""
    from jupyter_client.provisioning import local_provisioner

    launch = local_provisioner.launch_kernel
    local_provisioner.launch_kernel = lambda cmd, **kwargs: launch(warm(cmd), **kwargs)
    return lambda: setattr(local_provisioner, "launch_kernel", launch)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[2], sys.argv[3:]))
