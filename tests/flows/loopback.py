"""A Prefect server and workers on this machine, as processes of their own, for tests of what crosses between them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]


class Loopback:
    """Started with `start`, stopped with `stop`; everything it writes lies in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.env = os.environ | {
            "PREFECT_API_URL": self.url, "PREFECT_HOME": str(folder / "home"), "DO_NOT_TRACK": "1", "NO_COLOR": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        """A process in a group of its own, its output in NAME.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
        return self.processes[name]

    def ready(self, workers: dict[str, str]) -> None:
        """The server and these workers (name -> pool) are up: those that are not are started."""
        if "server" not in self.processes:
            self.start_server()
        for name, pool in workers.items():
            if name not in self.processes:
                self.worker(name, pool)
        until(lambda: self.pools() >= set(workers.values()), 120, "the workers have made their pools")

    def start_server(self) -> None:
        """The server, ready."""
        self.begin("server", *PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        until(lambda: self._healthy(), 120, "the server answers")

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def tamis(self, *arguments: str) -> str:
        """One `tamis` command."""
        return self._told(sys.executable, "-m", "tamis", *arguments)

    def deploy(self, file: Path) -> str:
        """`prefect deploy` of all that a file names."""
        return self._told(*PREFECT, "deploy", "--prefect-file", str(file), "--all")

    def _told(self, *command: str) -> str:
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def worker(self, name: str, pool: str) -> None:
        """A process worker."""
        self.begin(name, *PREFECT, "worker", "start", "--pool", pool, "--name", name, "--type", "process")

    def post(self, path: str, body: Any) -> Any:
        """One request to the API; a busy SQLite answers 503, and is asked again."""
        answers: list[httpx.Response] = []

        def heard() -> bool:
            answers.append(httpx.post(f"{self.url}{path}", json=body, timeout=120))
            return answers[-1].status_code != 503

        until(heard, 60, f"POST {path} is heard")
        answers[-1].raise_for_status()
        return answers[-1].json()

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """All runs of a flow, the first to start first."""
        asked = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found = self.post("/flow_runs/filter", asked)
        return found  # type: ignore[no-any-return]

    def pools(self) -> set[str]:
        """Names of the work pools."""
        return {pool["name"] for pool in self.post("/work_pools/filter", {})}

    def forget(self, deployment: str) -> None:
        """Remove a deployment, its schedule with it."""
        found = httpx.get(f"{self.url}/deployments/name/{deployment}", timeout=120).json()
        until(lambda: httpx.delete(f"{self.url}/deployments/{found['id']}", timeout=120).status_code == 204, 30, "it is removed")

    def order(self, deployment: str, **parameters: Any) -> str:
        """Ask for a run now; its id."""
        found = httpx.get(f"{self.url}/deployments/name/{deployment}", timeout=120).json()
        run = self.post(f"/deployments/{found['id']}/create_flow_run", {"parameters": found["parameters"] | parameters})
        return str(run["id"])

    def state(self, run: str) -> dict[str, Any]:
        """A flow run as it stands."""
        return httpx.get(f"{self.url}/flow_runs/{run}", timeout=120).json()  # type: ignore[no-any-return]

    def finish(self, run: str, kind: str) -> None:
        """Set a flow run's state, as a person would in the UI."""
        self.post(f"/flow_runs/{run}/set_state", {"state": {"type": kind, "name": kind.capitalize()}, "force": kind != "CANCELLING"})

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """The task runs of a flow run."""
        asked = {"flow_runs": {"id": {"any_": [run]}}}
        return self.post("/task_runs/filter", asked)  # type: ignore[no-any-return]

    def lines(self, run: str) -> list[dict[str, Any]]:
        """What a flow run logged, line by line."""
        asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return self.post("/logs/filter", asked)  # type: ignore[no-any-return]

    def logs(self, run: str) -> str:
        """What a flow run logged."""
        return "\n".join(line["message"] for line in self.lines(run))

    def span(self, run: str, first: str, last: str) -> tuple[str, str]:
        """When a flow run logged these two."""
        when = [next(line["timestamp"] for line in self.lines(run) if what in line["message"]) for what in (first, last)]
        return when[0], when[1]

    def ended(self, run: str, seconds: float) -> dict[str, Any]:
        """The flow run once its state is final."""
        until(lambda: self.state(run)["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), seconds, f"run {run} ends")
        return self.state(run)

    def family(self, name: str) -> set[int]:
        """A process and all that it started."""
        return set(family(self.processes[name].pid))

    def kill(self, name: str) -> None:
        """kill -9 of a process and all that it started, whatever group that is in."""
        process = self.processes.pop(name)
        for pid in family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """End all of it."""
        for name in list(self.processes):
            self.kill(name)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and is not yet fetched does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for it. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)
