"""The ranks of `numpygpt train --distributed`, and the end of all when one ends. Written by hand.

MPI does not end all ranks in every case: where the Python of one raises, Open MPI waits forever
(chapter 20). So each rank keeps a socket open to rank 0: the system closes it when the process
ends, however it ends, and rank 0 hears of it at once.
"""

import json
import os
import secrets
import socket
import sys
import threading
import time
import traceback

from numpygpt.cli.errors import MISTAKES, UsageError, message_of
from numpygpt.cli.runs import last_checkpoint
from numpygpt.distributed import DistributedError, connect

# Open MPI's mpiexec and others tell their processes how many they are, and which one each is.
MPIEXEC_SAYS = (("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"))


class Alone:
    """The world of a run without mpiexec: one rank, which waits for nobody."""

    rank, size = 0, 1

    def gather(self, value):
        return [value]


class Silent:
    """The log and the progress of all ranks but one."""

    def write(self, record):
        pass

    def show(self, record):
        pass

    def close(self):
        pass


def refuse_to_be_many():
    """Raise UsageError in processes that mpiexec started and that would all do the same."""
    for size, rank in MPIEXEC_SAYS:
        if int(os.environ.get(size, 1)) > 1:
            if os.environ.get(rank, "0") != "0":
                # Rank 0 tells it. If we failed first, mpiexec would end it before it has.
                raise SystemExit(0)
            raise UsageError(
                f"{os.environ[size]} processes of mpiexec do the same: add --distributed"
            )


def on_every_rank(run, path):
    """Return run(world) in a process of an MPI job; no rank outlives another that failed.

    Args:
        path: of the run's checkpoint, to be named where a rank is lost.
    """
    try:
        world = connect()
    except DistributedError as error:
        raise UsageError(f"--distributed: {error}") from None
    watch = Watch(world, path)
    try:
        code = run(world)
    except MISTAKES as error:
        watch.fail(message_of(error))
    except KeyboardInterrupt:
        watch.fail("interrupted", code=130)
    except BaseException:
        watch.fail(traceback.format_exc().strip())
    watch.close()
    return code


class Watch:
    """Threads that end this process when another rank is lost or fails."""

    def __init__(self, world, path):
        self.rank, self.path = world.rank, path
        self.lines = {}  # rank -> socket
        self.ending = threading.Lock()
        self.names = world.gather(f"process {os.getpid()} on {socket.gethostname()}")
        # So that no stranger takes a rank's place.
        secret = world.gather(secrets.token_hex())[0].encode() + b"\n"
        one_machine = len({name.split()[-1] for name in self.names}) == 1
        if self.rank == 0:
            server = socket.create_server(("127.0.0.1" if one_machine else "", 0))
            host = "127.0.0.1" if one_machine else socket.gethostname()
            world.gather((host, server.getsockname()[1]))
            while len(self.lines) < world.size - 1:
                line = server.accept()[0]
                hello = line.makefile("rb")
                if hello.readline() == secret:
                    self.lines[int(hello.readline())] = line
                else:
                    line.close()
            server.close()
        else:
            line = socket.create_connection(world.gather(None)[0])
            line.sendall(secret + b"%d\n" % self.rank)
            self.lines[0] = line
        for rank in self.lines:
            threading.Thread(target=self.listen, args=(rank,), daemon=True).start()

    def listen(self, rank):
        """Wait for what a rank says: done, end, or a complaint; nothing means that it is gone."""
        try:
            said = self.lines[rank].makefile("rb").readline()
        except OSError:
            said = b""
        if said == b"done\n":
            return
        if said == b"end\n":
            self.end(None)
        if not said and self.rank == min(r for r in range(len(self.names)) if r != rank):
            self.end(f"rank {rank} ({self.names[rank]}) was lost; {last_checkpoint(self.path)}")
        if self.rank == 0:
            time.sleep(0.5)  # a mistake of the user's is one of all ranks: rank 0 tells it, too
            complaint = json.loads(said)
            self.end(f"rank {rank}: {complaint['message']}", complaint["code"])
        self.end(None)

    def fail(self, message, code=2):
        """End all ranks because this one cannot go on."""
        if self.rank:
            complaint = json.dumps({"message": message, "code": code}).encode() + b"\n"
            try:
                self.lines[0].sendall(complaint)
                threading.Event().wait()  # until rank 0 has told it, and ends us
            except OSError:
                time.sleep(5)  # rank 0 is gone: who listens to it says so, and ends us
        self.end(message, code)

    def end(self, message, code=2):
        self.ending.acquire()  # and never released: the first one ends the process
        if message:
            print(f"numpygpt train: {message}", file=sys.stderr, flush=True)
        if self.rank == 0:
            self.tell_all(b"end\n")
        sys.stdout.flush()
        # Not sys.exit: it would wait in MPI for ranks that no longer come.
        os._exit(code)

    def close(self):
        """Say that this rank is done: from now on the others may lose it."""
        self.tell_all(b"done\n")

    def tell_all(self, word):
        for line in self.lines.values():
            try:
                line.sendall(word)
            except OSError:
                pass  # it has ended before us
