"""compose.yaml without Docker: its services as plain processes in a network of their own, and a night's work given to them.

    sudo python infra/rehearsal.py [--folder DIR] [--hold SECONDS]

Commands, environments, dependencies and health checks are read from compose.yaml, the image's variables from the Dockerfile, values
from example.env: nothing is typed twice. A network, mount and process namespace (unshare) gives the names of the services, their
ports and /srv/tamis; so nothing of this machine is touched, and everything ends with the script. What stands in: PostgreSQL's own
programs for the image postgres, moto for the image minio. Images, users, memory limits and GPU devices are not shown.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

INFRA = Path(__file__).resolve().parent
INSIDE = "TAMIS_REHEARSAL"
API = "http://localhost:4200/api"
BUCKET = "corpus"
RECIPE = """
project_name: {name}
dataset_path: s3://{bucket}/web
export_path: runs/{name}
seed: 7
{more}
process:
  - whitespace_normalization_mapper
  - text_length_filter: {{min_len: 200}}
  - document_deduplicator
{last}
"""
EMBEDDED = "  - text_embedding_mapper: {max_tokens: 16}\n  - kmeans_diversity_selector: {select_num: 100, k: 20}"
ON_SPARK = "engine: spark\nspark_master: spark://spark-master:7077\nspark_partitions: 4"


def main() -> None:
    """Enter the namespaces, or, inside, rehearse."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--folder", type=Path, help="where logs and workspaces go; a temporary one otherwise")
    parser.add_argument("--hold", type=float, default=0.0, help="seconds to stay up afterwards, for a look with nsenter")
    asked = parser.parse_args()
    if INSIDE not in os.environ:
        own = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        sys.exit(subprocess.run([*own, sys.executable, *sys.argv], env=os.environ | {INSIDE: "1"}, check=False).returncode)
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="rehearsal-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    compose = resolved()
    enter(folder, compose["services"])
    stack = Stack(folder, compose["services"])
    print(f"logs in {folder}", flush=True)
    try:
        stack.up()
        night(stack)
        if asked.hold:
            print(f"up for {asked.hold:g} s more: nsenter --net --pid --mount --target PID", flush=True)
            time.sleep(asked.hold)
    finally:
        stack.down()


def resolved() -> dict[str, Any]:
    """compose.yaml with every variable from example.env. Raises KeyError for one that has no value."""
    values = dict(line.split("=", 1) for line in (INFRA / "example.env").read_text().splitlines() if re.match(r"\w+=", line))

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if values.get(name):
            return values[name]
        if default is None or default.startswith("?"):
            raise KeyError(f"compose.yaml needs {name}, and example.env does not give it")
        return default.removeprefix("-")

    text = re.sub(r"\$\{(\w+)(?::([-?][^}]*))?\}", value, (INFRA / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def enter(folder: Path, services: Mapping[str, Any]) -> None:
    """The namespace as the containers see it: loopback, names of the services, /srv/tamis, /opt/tamis and /var/lib/prefect."""
    with socket.socket() as s:  # ifconfig lo up
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
    (folder / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()} {' '.join(services)}\n")
    subprocess.run(["mount", "--bind", str(folder / "hosts"), "/etc/hosts"], check=True)
    for place in ("/srv", "/opt", "/var/lib"):
        subprocess.run(["mount", "-t", "tmpfs", "rehearsal", place], check=True)
    for place in ("/srv/tamis", "/opt/tamis", "/var/lib/prefect"):
        Path(place).mkdir()
    (folder / "srv").mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(folder / "srv"), "/srv/tamis"], check=True)
    shutil.copytree(INFRA, "/opt/tamis/infra")  # as the Dockerfile does
    shutil.copytree(INFRA.parent / "recipes", "/srv/tamis/recipes", dirs_exist_ok=True)  # as the README tells


class Stack:
    """The services of compose.yaml as processes."""

    def __init__(self, folder: Path, services: Mapping[str, Any]) -> None:
        self.folder, self.services = folder, services
        self.processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.began = time.monotonic()

    def up(self) -> None:
        """Start all, each when what it depends on is as it must be; a service that ends (`register`) has ended well."""
        waiting = dict(self.services)
        while waiting:
            name = next(n for n, s in waiting.items() if not set(s.get("depends_on", ())) & set(waiting))
            service = waiting.pop(name)
            for k in range(service.get("deploy", {}).get("replicas", 1)):
                self.start(name, service, k)
            self.stands(name, service)
            self.told(f"{name}: {' '.join(self.command(name, service))}")

    def told(self, text: str) -> None:
        """One line, with the seconds since the beginning."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def start(self, name: str, service: Mapping[str, Any], number: int = 0) -> None:
        """One process, with the environment of its service and of the image, and nothing of ours but where Python is."""
        command = self.command(name, service)
        with (self.folder / f"{name}-{number}.log").open("ab") as log:
            made = subprocess.Popen(
                command, env=self.environment(name, service), cwd="/srv/tamis", stdout=log, stderr=log, start_new_session=True)
        self.processes.append((name, made))

    def command(self, name: str, service: Mapping[str, Any]) -> list[str]:
        """The service's own; for the two images that are not ours, what stands in for them."""
        if service["image"].startswith("postgres"):
            return self.database(service["environment"])
        if service["image"].startswith("minio"):
            return ["moto_server", "--host", "0.0.0.0", "--port", "9000"]
        return [str(word) for word in service["command"]]

    def database(self, told: Mapping[str, str]) -> list[str]:
        """PostgreSQL's command, its folder made as the image's entry point makes it."""
        data = Path("/var/lib/postgresql/data")
        as_postgres = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        if not data.exists():
            data.mkdir(parents=True)
            shutil.chown(data, "postgres", "postgres")
            (data.parent / "password").write_text(told["POSTGRES_PASSWORD"])
            how = ["-U", told["POSTGRES_USER"], "--pwfile", str(data.parent / "password"), "--auth", "scram-sha-256"]
            subprocess.run([*as_postgres, "initdb", "-D", str(data), *how], check=True, stdout=subprocess.DEVNULL)
            single = [*as_postgres, "postgres", "--single", "-D", str(data), "postgres"]
            make = f"CREATE DATABASE {told['POSTGRES_DB']};\n".encode()
            subprocess.run(single, input=make, check=told["POSTGRES_DB"] != "postgres", stdout=subprocess.DEVNULL)
        return [*as_postgres, "postgres", "-D", str(data), "-c", "listen_addresses=*", "-c", "unix_socket_directories=/tmp"]

    def environment(self, name: str, service: Mapping[str, Any]) -> dict[str, str]:
        """Of the image, then of the service."""
        image = dict(re.findall(r"(\w+)=(\S+)", (INFRA / "Dockerfile").read_text().rpartition("\nENV ")[2]))
        home = Path("/srv/home") / name
        home.mkdir(parents=True, exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ours = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "PGHOST": "localhost"}
        ours |= {k: os.environ[k] for k in ("PYTHONPATH",) if k in os.environ}  # where tamis is not installed but looked for
        return ours | image | {k: str(v) for k, v in service.get("environment", {}).items()}

    def stands(self, name: str, service: Mapping[str, Any]) -> None:
        """Wait for its health check, or, where others wait for its end, for that."""
        wanted = {other["depends_on"][name]["condition"] for other in self.services.values()
                  if isinstance(other.get("depends_on"), dict) and name in other["depends_on"]}
        process = next(p for n, p in reversed(self.processes) if n == name)
        if "service_healthy" in wanted:
            check = [str(word) for word in service["healthcheck"]["test"][1:]]
            env = self.environment(name, service)
            until(lambda: not subprocess.run(check, env=env, capture_output=True, check=False).returncode, 180, name)
        elif "service_completed_successfully" in wanted:
            assert process.wait(300) == 0, f"{name} ended with {process.returncode}: {self.folder}/{name}-0.log"
        else:
            time.sleep(1)
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.folder}/{name}-0.log"

    def down(self) -> None:
        """End all, the last first."""
        for _, process in reversed(self.processes):
            process.terminate()
        for _, process in reversed(self.processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def night(stack: Stack) -> None:
    """A corpus in the object store; deployed runs with GPU jobs and on Spark; each with the content hash of `tamis run`."""
    os.environ.update(stack.environment("night", stack.services["cpu-worker"]))
    os.chdir("/srv/tamis")
    upload()
    stack.told(f"4 objects in s3://{BUCKET}/web")
    for name, more, last in (("objects", "", EMBEDDED), ("spark", ON_SPARK, "  - random_selector: {select_num: 100}")):
        recipe = Path(f"/srv/tamis/{name}.yaml")
        recipe.write_text(RECIPE.format(name=name, bucket=BUCKET, more=more, last=last))
        run = done(stack, "curate/nightly", recipe_path=recipe.name)
        told = json.loads(Path(f"/srv/tamis/runs/{name}/manifest.json").read_text())
        plain = ["tamis", "run", recipe.name, "--set", "engine=local", "--out", f"runs/plain-{name}"]
        subprocess.run(plain, check=True, capture_output=True)
        local = json.loads(Path(f"/srv/tamis/runs/plain-{name}/manifest.json").read_text())
        assert local["content_hash"] == told["content_hash"], "a plain `tamis run` answers the same"
        stack.told(f"curate/nightly {name}: {told['rows_out']} of {told['rows_in']:,} rows, content {told['content_hash']}")
        workers(stack, run)
    assert spark_applications() >= 1, "the master has seen an application"
    stack.told(f"Spark's master: {spark_applications()} applications finished (one a stage), {len(spark()['workers'])} workers")
    for name in ("refresh/hourly", "compare/weekly"):
        done(stack, name)
        stack.told(f"{name}: completed")


def upload() -> None:
    """The bundled corpus in four objects."""
    import s3fs

    store = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    store.mkdir(BUCKET)
    rows = (INFRA.parent / "recipes" / "data" / "corpus.jsonl").read_text("utf-8").splitlines(keepends=True)
    for k in range(4):
        store.pipe(f"{BUCKET}/web/{k}.jsonl", "".join(rows[k::4]).encode())


def done(stack: Stack, deployment: str, **parameters: Any) -> dict[str, Any]:
    """A run of a deployment, ordered now, completed."""
    found = httpx.get(f"{API}/deployments/name/{deployment}", timeout=60).json()
    order = {"parameters": found["parameters"] | parameters}
    run = httpx.post(f"{API}/deployments/{found['id']}/create_flow_run", json=order, timeout=60).json()

    def ended() -> bool:
        return state(run["id"])["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    until(ended, 400, deployment)
    last = state(run["id"])
    assert last["state_type"] == "COMPLETED", f"{deployment}: {last['state']['message']}: {stack.folder}"
    return last


def state(run: str) -> dict[str, Any]:
    """A flow run as it stands."""
    told: dict[str, Any] = httpx.get(f"{API}/flow_runs/{run}", timeout=60).json()
    return told


def workers(stack: Stack, run: Mapping[str, Any]) -> None:
    """Which worker's process did the run, and which its jobs."""
    tasks = httpx.post(f"{API}/task_runs/filter", json={"flow_runs": {"id": {"any_": [run["id"]]}}}, timeout=60).json()
    stack.told(f"  {run['work_pool_name']}, process {run['infrastructure_pid']}: {len(tasks)} tasks, {run['total_run_time']:.1f} s")
    asked = {"flows": {"name": {"any_": ["model-stage"]}}, "flow_runs": {"parent_flow_run_id": {"any_": [run["id"]]}}}
    for job in httpx.post(f"{API}/flow_runs/filter", json=asked, timeout=60).json():
        stack.told(f"  {job['work_pool_name']}, process {job['infrastructure_pid']}: {job['name']}, {job['total_run_time']:.1f} s")


def spark() -> dict[str, Any]:
    """What Spark's master says of itself."""
    told: dict[str, Any] = httpx.get("http://localhost:8080/json/", timeout=60).json()
    return told


def spark_applications() -> int:
    """How many applications have ended on the cluster."""
    return len(spark()["completedapps"])


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for it. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.5)


if __name__ == "__main__":
    main()
