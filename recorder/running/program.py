"""A program in the place of this one: with its terminal, its signals, its exit code and its job control.

It stays in our process group, so that the terminal speaks to both: Ctrl-C is the program's affair, and Ctrl-Z stops
both, as a shell expects.
"""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from llm_metrics_proxy.recorder.errors import NoProgram

NOT_FOUND: Final = 127  # exit codes of shells
NOT_EXECUTABLE: Final = 126

_FOR_THE_PROGRAM = (signal.SIGINT, signal.SIGQUIT)  # the terminal sends them to the whole process group
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_MOMENT = 0.05  # seconds: a stop that is for both has reached us by then


def find(name: str) -> str:
    """Return the path of a program, as a shell finds it.

    Raises:
        NoProgram: there is none, or it cannot be executed.
    """
    if (path := shutil.which(name)) is not None:
        return path
    if os.sep in name and Path(name).exists():
        cure = "make it executable, or start it by its interpreter"
        raise NoProgram(what=f"{name} cannot be executed", cure=cure, code=NOT_EXECUTABLE)
    raise NoProgram(what=f"There is no program {name}", cure="check the name and the PATH", code=NOT_FOUND)


def run(path: str, words: Sequence[str], environment: Mapping[str, str], kept_open: int) -> int:
    """Run a program to its end; return its exit code, or minus the number of the signal that ended it.

    The descriptor `kept_open` is open in the program and in all that it starts.

    Raises:
        NoProgram: the system cannot execute it.
    """
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if process is not None and process.returncode is None:
            process.send_signal(number)

    def leave_it(_number: int, _frame: FrameType | None) -> None:
        """Not SIG_IGN, which the program would inherit."""

    before = {}
    for handler, numbers in ((leave_it, _FOR_THE_PROGRAM), (pass_on, _PASSED_ON)):
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a job in the background
                before[number] = signal.signal(number, handler)
    try:
        os.set_inheritable(kept_open, True)  # noqa: FBT003 - the system's own signature
        # All others that we were given are for the program, such as those of `<(command)`; ours are closed by its exec.
        process = subprocess.Popen(words, executable=path, env=environment, close_fds=False)  # noqa: S603 - what the user typed
        return _end_of(process)
    except OSError as error:
        what = f"{path} cannot be executed ({error.strerror})"
        cure = "start it by its interpreter"
        raise NoProgram(what=what, cure=cure, code=NOT_EXECUTABLE) from error
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def end_like(code: int) -> NoReturn:
    """End this process as the program ended: with its exit code, or by the signal that ended it."""
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program's own core is the one that is wanted
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 128 - code  # a signal that is blocked
    os._exit(code)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    while True:
        changed = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        if changed is None or changed.si_code != os.CLD_STOPPED:
            return process.wait()
        # Stopped: where that was for both, as by Ctrl-Z, this process was stopped as well, and goes on by now.
        time.sleep(_MOMENT)
        still = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG)
        if still is not None:
            os.kill(os.getpid(), signal.SIGSTOP)  # so that the shell sees the job stop
            process.send_signal(signal.SIGCONT)
