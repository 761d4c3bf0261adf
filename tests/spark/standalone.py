"""A real standalone cluster on loopback: one master, some workers, each a process that a test may kill."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyspark

SPARK = Path(pyspark.__file__).parent
SMALL = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PATIENCE = 90.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(what: Callable[[], Any], why: str, patience: float = PATIENCE) -> Any:
    """What `what` answers, once it is true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := what():
                return found
        time.sleep(0.05)
    raise TimeoutError(why)


class Cluster:
    """Use as a context manager. `python`: what executors run; `folder`: logs and the workers' own folders."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder, self.count, self.port, self.page = folder, workers, free_port(), free_port()
        self.master, self.workers = f"spark://127.0.0.1:{self.port}", list[subprocess.Popen[bytes]]()
        self.processes: list[subprocess.Popen[bytes]] = []

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env = inherited | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": SMALL}
        log = (self.folder / f"{name}.log").open("wb")
        made = subprocess.Popen([SPARK / "bin" / "spark-class", *words], env=env, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(made)
        return made

    def __enter__(self) -> "Cluster":
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            master = ("--host", "127.0.0.1", "--port", str(self.port), "--webui-port", str(self.page))
            self._start("master", "org.apache.spark.deploy.master.Master", *master)
            wait_for(self.state, "the master does not answer")
            for i in range(self.count):
                self.add(f"worker{i}")
            wait_for(lambda: len(self.alive()) == self.count, "the workers do not register")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def add(self, name: str) -> None:
        """One more worker, of one core."""
        words = ("--host", "127.0.0.1", "--webui-port", "0", "--cores", "1", "--memory", "1g", "--work-dir", str(self.folder / name))
        self.workers.append(self._start(name, "org.apache.spark.deploy.worker.Worker", *words, self.master))

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5) as page:
            return json.load(page)  # type: ignore[no-any-return]

    def alive(self) -> list[dict[str, Any]]:
        return [w for w in self.state()["workers"] if w["state"] == "ALIVE"]

    def kill_worker(self, number: int) -> None:
        """SIGKILL to a worker, its executors and their Python processes."""
        kill(self.workers[number])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in reversed(self.processes):
            kill(process)


def kill(process: "subprocess.Popen[Any]") -> None:
    """SIGKILL to all that a process of ours has started, and to itself."""
    groups = [process.pid]
    for child in children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            groups.append(os.getpgid(child))
    for group in set(groups) - {os.getpgid(0)}:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    process.wait(30)


def children(pid: int) -> Iterator[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    waiting = [pid]
    while waiting:
        found = parents.get(waiting.pop(), [])
        yield from found
        waiting += found


def small_venv(folder: Path) -> Path:
    """A Python that has all that this one has but no editable install: what it finds of tamis must have come to it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "here.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")) + "\n")
    return folder / "bin" / "python"
