"""Tools of lit tests without their start: a server that has imported them forks for each call.

`start` begins one and returns a folder of commands for PATH. A command hands its arguments, folder
and open files to the server; the fork runs the tool's own ``main`` with them.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

# Python without its site packages, which take longer to start than the call itself.
_CLIENT = """#!{python} -IS
import array, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    text = "\\0".join([{tool!r}, os.getcwd(), *sys.argv[1:]]).encode()
    server.sendmsg([len(text).to_bytes(4, "little")], [files])
    server.sendall(text)
    code = server.recv(1)
sys.exit(code[0] if code else 70)
"""


def tools() -> dict[str, Callable[[], object]]:
    """Import the tools and return their main functions, by command."""
    from filecheck.main import main as filecheck

    from tosaic.lowering.passes import all_passes
    from tosaic.tools.tosaic_opt import main as tosaic_opt
    from tosaic.tools.tosaic_translate import main as tosaic_translate

    all_passes()
    return {
        "tosaic-opt": tosaic_opt,
        "tosaic-translate": tosaic_translate,
        "filecheck": filecheck,
    }


def start(folder: Path) -> Path:
    """Begin a server for this process' lifetime; its commands are in the folder returned."""
    commands = folder / "commands"
    commands.mkdir(parents=True, exist_ok=True)
    address = str(folder / f"{os.getpid()}.socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    alive, held = os.pipe()  # `held` closes with this process, and the server ends
    if os.fork() == 0:
        os.close(held)
        try:
            _serve(listener, alive)
        finally:
            os.unlink(address)
            os._exit(0)
    os.close(alive)
    os.set_inheritable(held, False)
    listener.close()
    for tool in ("tosaic-opt", "tosaic-translate", "filecheck"):
        command = commands / tool
        command.write_text(_CLIENT.format(python=sys.executable, address=address, tool=tool))
        command.chmod(0o755)
    return commands


def _serve(listener: socket.socket, alive: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    mains = tools()
    while True:
        ready, _, _ = select.select([listener, alive], [], [])
        if alive in ready:
            return
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(alive)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = _call(client, mains)
            client.sendall(bytes([code]))
            os._exit(0)
        client.close()


def _call(client: socket.socket, mains: dict[str, Callable[[], object]]) -> int:
    """Run a tool as the client asks, and return its exit code."""
    head, ancillary, _, _ = client.recvmsg(4, socket.CMSG_SPACE(3 * 4))
    files = array.array("i")
    files.frombytes(ancillary[0][2])
    text, length = b"", int.from_bytes(head, "little")
    while len(text) < length:
        text += client.recv(length - len(text))
    tool, folder, *arguments = text.decode().split("\0")
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115
        for number, mode in enumerate("rww")
    )
    os.chdir(folder)
    sys.argv = [tool, *arguments]
    try:
        code = mains[tool]()
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)
