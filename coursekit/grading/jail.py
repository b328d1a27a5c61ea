"""Inside the sandbox, before any code of a student's: give up all that it must not have.

Everything here is a limit that the kernel keeps, not something that is looked at now and then: one
process, so that its own memory and processor time are all there is; no memory outside of it; few
and small files. The grader tries it out before it grades, and `coursekit grade --doctor` says what
this machine offers.
"""

import ctypes
import errno
import os
import platform
import resource
import struct

FILES = 4096  # in each of /tmp and /dev/shm: the kernel keeps about a kilobyte for each

# <linux/prctl.h>, <linux/seccomp.h>, <linux/filter.h>, <linux/audit.h>, <sched.h>, <sys/mount.h>
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 22, 38, 47, 4
SECCOMP_MODE_FILTER = 2
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
CLONE_THREAD, CLONE_NEW = 0x00010000, 0x7E020080  # a thread; any new namespace
X32 = 0x40000000  # from here on, x86_64 has the calls of another ABI
MS_REMOUNT, MS_NOSUID, MS_NODEV = 32, 2, 4
CAPABILITY_VERSION_3 = 0x20080522

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Numbers of system calls: x86_64, aarch64 (None: it has none of that name).
PROCESSES = {"fork": (57, None), "vfork": (58, None)}
CLONE, CLONE3 = (56, 220), (435, 435)
DENIED = {
    # memory that is in no process's own
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "userfaultfd": (323, 282),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195),
    "semget": (64, 190), "semop": (65, 193), "msgget": (68, 186), "msgsnd": (69, 189),
    "mq_open": (240, 180), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # other namespaces, other file systems
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # what has had most of the kernel's holes, or looks into other processes
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "ptrace": (101, 117), "kcmp": (312, 272),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "personality": (135, 92),
    "fanotify_init": (300, 262), "inotify_init1": (294, 26), "modify_ldt": (154, None),
}  # fmt: skip


def enter(limits, one_process=True):
    """Take on the limits of a job, for good.

    Args:
        limits: "resources", {name of an RLIMIT: value}; "uid", or None to stay who we are.
        one_process: no other process may be started; threads may.
    """
    for name, value in limits["resources"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if limits["enclosed"]:
        limit_files("/tmp")
        limit_files("/dev/shm")
    if limits["uid"] is not None:
        os.setgroups([])
        os.setresgid(*[limits["uid"]] * 3)
        os.setresuid(*[limits["uid"]] * 3)
    if limits["enclosed"]:
        give_up_capabilities()
        deny_calls(one_process)


def limit_files(folder):
    """Let a tmpfs hold no more than FILES files; the doctor says where the machine forbids it."""
    options = f"nr_inodes={FILES}".encode()
    flags = MS_REMOUNT | MS_NOSUID | MS_NODEV
    libc().mount(b"tmpfs", folder.encode(), b"tmpfs", flags, options)


def give_up_capabilities():
    libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    nothing = struct.pack("=6I", *[0] * 6)
    called(libc().capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), nothing), "capset")


def deny_calls(one_process):
    """Have the kernel refuse the calls of `DENIED`, and with `one_process` any new process."""
    program = filter_program(platform.machine(), one_process)
    if program is None:
        return  # another processor: the doctor says so
    called(libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    called(libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0), "seccomp")


def filter_program(machine, one_process):
    """The filter as the kernel's small machine reads it; None for a machine that we do not know.

    The calls of another ABI end the process: their numbers mean other calls.
    """
    if machine not in ARCHITECTURES:
        return None
    column = list(ARCHITECTURES).index(machine)
    denied = [numbers[column] for numbers in DENIED.values()]
    if one_process:
        denied += [numbers[column] for numbers in PROCESSES.values()]
    refuse = ERRNO | errno.EPERM
    program = [
        step(LOAD, ARCHITECTURE),
        step(EQUAL, ARCHITECTURES[machine], 1, 0), step(RETURN, KILL),
        step(LOAD, NUMBER),
    ]  # fmt: skip
    if machine == "x86_64":
        program += [step(AT_LEAST, X32, 0, 1), step(RETURN, KILL)]
    for number in denied:
        if number is not None:
            program += [step(EQUAL, number, 0, 1), step(RETURN, refuse)]
    # Its flags lie in memory, where a filter cannot look: the C library falls back to clone.
    program += [step(EQUAL, CLONE3[column], 0, 1), step(RETURN, ERRNO | errno.ENOSYS)]
    program += [step(EQUAL, CLONE[column], 1, 0), step(RETURN, ALLOW), step(LOAD, FIRST_ARGUMENT)]
    program += [step(ANY_BIT, CLONE_NEW, 0, 1), step(RETURN, refuse)]
    if one_process:
        program += [step(ANY_BIT, CLONE_THREAD, 1, 0), step(RETURN, refuse)]
    return b"".join([*program, step(RETURN, ALLOW)])


def step(code, value, if_so=0, if_not=0):
    return struct.pack("=HBBI", code, if_so, if_not, value)


def libc():
    return ctypes.CDLL(None, use_errno=True)


def called(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
