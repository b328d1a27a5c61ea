"""The kernel in which nbval runs a student's notebook: one process, as the runner's is."""

import os

from coursekit.grading.jail import deny_calls

if __name__ == "__main__":
    if os.environ.pop("COURSEKIT_ENCLOSED", "0") == "1":
        deny_calls(one_process=True)  # nbval itself had to start this process

    from ipykernel.iostream import OutStream
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.zmqshell import ZMQInteractiveShell

    from coursekit.grading.shell import Lenient

    class Shell(Lenient, ZMQInteractiveShell):
        """As a notebook's, and commands and unknown magics do nothing."""

    class Kernel(IPythonKernel):
        shell_class = Shell

    class Bounded(OutStream):
        """What is printed beyond this many characters goes nowhere."""

        left = 1 << 20

        def write(self, text):
            self.left -= len(text)
            return super().write(text) if self.left >= 0 else len(text)

    IPKernelApp.launch_instance(kernel_class=Kernel, outstream_class="__main__.Bounded")
