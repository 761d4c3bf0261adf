"""What lies in infra/ fits the code and itself: entrypoints, parameters, schedules, names, variables."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from loopback import Loopback
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.flows import Flow
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate

from tamis.flows.elsewhere import SILENT_LOOKS
from tamis.flows.model_stage import LIMIT
from tamis.pipeline import plan, pool, recipe
from tamis.pipeline.comparing.contenders import contenders

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
DEPLOYMENTS = yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"]
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
OBJECTS = [o for f in sorted((INFRA / "kubernetes").glob("*.yaml")) if f.name != "kustomization.yaml" for o in yaml.safe_load_all(f.read_text())]
KUSTOMIZE = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = deployment["entrypoint"].partition(":")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, Flow)
    return found


def full_name(deployment: dict[str, Any]) -> str:
    return f"{flow_of(deployment).name}/{deployment['name']}"


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=full_name)
def test_a_deployment_names_what_there_is(deployment: dict[str, Any]) -> None:
    schema = parameter_schema(flow_of(deployment).fn).model_dump_for_openapi()
    parameters = deployment.get("parameters", {})
    validate(parameters, schema, raise_on_error=True, ignore_required="parameters" not in deployment)
    assert deployment["enforce_parameter_schema"] and "tamis" in deployment["tags"]
    for schedule in deployment.get("schedules", []):
        CronSchedule(**schedule) if "cron" in schedule else IntervalSchedule(**schedule)
    if parameters.get("gpu") == "deployment":
        assert parameters["gpu_deployment"] in [full_name(d) for d in DEPLOYMENTS]


def test_the_file_is_prefects_format() -> None:
    read = PrefectYamlModel.model_validate(yaml.safe_load((INFRA / "prefect.yaml").read_text()))
    assert len(read.deployments) == 5 and len({full_name(d) for d in DEPLOYMENTS}) == 5
    registered = (INFRA / "register.sh").read_text()
    made = set(re.findall(r"work-pool create (\S+)", registered))
    assert {d["work_pool"]["name"] for d in DEPLOYMENTS} == made and f"gcl create {LIMIT} " in registered


def test_every_flow_has_a_deployment() -> None:
    sources = {p.stem for p in (ROOT / "flows").glob("*.py") if re.search(r"^@flow", p.read_text(), re.MULTILINE)}
    assert sources == {d["entrypoint"].partition(":")[0].rpartition(".")[2] for d in DEPLOYMENTS}


def test_recipes_of_the_deployments_are_what_their_flows_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    for deployment in DEPLOYMENTS:
        parameters = deployment.get("parameters", {})
        for path in [*parameters.get("recipes", []), *([parameters["recipe_path"]] if "recipe_path" in parameters else [])]:
            assert plan.make(recipe.load(path)).stages
    assert contenders(["recipes/demo.yaml"], [], baseline=True)
    assert pool.begin("recipes/pool.yaml", export_path=str(tmp_path / "pool")) is not None


@pytest.mark.parametrize(("parameters", "told"), [
    ({"recipe_path": "a.txt"}, "recipe_path"), ({"recipe_path": "a.yaml", "overrides": {"npp": 2}}, "overrides"), ({}, "recipe_path"),
    ({"recipe_path": "a.yaml", "gpu_jobs": 0}, "gpu_jobs"), ({"recipe_path": "a.yaml", "gpu": "there"}, "gpu"),
])
def test_a_server_takes_the_file_and_refuses_wrong_parameters(registered: Loopback, parameters: dict[str, Any], told: str) -> None:
    nightly = httpx.get(f"{registered.url}/deployments/name/curate/nightly", timeout=120).json()
    assert nightly["schedules"][0]["schedule"]["cron"] == "0 3 * * *" and nightly["work_pool_name"] == "cpu-pool"
    assert nightly["pull_steps"][0]["prefect.deployments.steps.set_working_directory"]["directory"] == "/srv/somewhere"
    words = parameters if "recipe_path" in parameters else {"recipe_path": None}
    asked = httpx.post(f"{registered.url}/deployments/{nightly['id']}/create_flow_run", json={"parameters": words}, timeout=120)
    assert asked.status_code in (409, 422) and told in asked.text


@pytest.fixture(scope="module")
def registered(loopback: Loopback) -> Iterator[Loopback]:
    """A server that has been told infra/prefect.yaml."""
    loopback.ready({"cpu-worker": "cpu-pool", "gpu-worker": "gpu-pool"})
    loopback.env["TAMIS_HOME"] = "/srv/somewhere"
    loopback.deploy(INFRA / "prefect.yaml")
    yield loopback
    for deployment in DEPLOYMENTS:  # and their schedules with them
        loopback.forget(full_name(deployment))


def test_automations_are_prefects_and_wait_longer_than_a_heartbeat() -> None:
    lost, guards = [AutomationCore.model_validate(a) for a in yaml.safe_load((INFRA / "automations.yaml").read_text())["automations"]]
    beat = COMPOSE["x-tamis"]["environment"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    assert lost.trigger.within.total_seconds() >= 3 * beat > SILENT_LOOKS  # type: ignore[union-attr]
    assert "tamis.guard" in guards.trigger.expect and '"tamis.guard"' in (ROOT / "flows" / "watching.py").read_text()  # type: ignore[union-attr]


def test_compose_services_fit_together() -> None:
    services = COMPOSE["services"]
    assert set(services) >= {"postgres", "prefect", "cpu-worker", "gpu-worker", "spark-master", "spark-worker", "objects"}
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        assert all(str(p).startswith("127.0.0.1:") for p in service.get("ports", [])), "open to this machine alone"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"] or volume.startswith("$")
    assert {services[f"{kind}-worker"]["command"][4] for kind in ("cpu", "gpu")} == {d["work_pool"]["name"] for d in DEPLOYMENTS}
    settings = yaml.safe_load(re.sub(r"(?m)^(\w+)=(.*)$", r"\1: '\2'", (INFRA / "example.env").read_text()))
    assert set(settings) == set(re.findall(r"\$\{(\w+)", (INFRA / "compose.yaml").read_text()))


def test_kubernetes_objects_fit_together() -> None:
    assert sorted(KUSTOMIZE["resources"]) == sorted(f.name for f in (INFRA / "kubernetes").glob("*.yaml") if f.name != "kustomization.yaml")
    templates = {o["metadata"]["name"]: o["spec"]["template"] for o in OBJECTS if "template" in o.get("spec", {})}
    assert set(templates) >= {"postgres", "prefect", "cpu-worker", "gpu-worker", "spark-master", "spark-worker", "objects"}
    claims = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "PersistentVolumeClaim"}
    for o in OBJECTS:
        selector = o["spec"].get("selector", {})
        labels = selector.get("matchLabels", selector)
        if labels:
            ours = [t for t in templates.values() if labels.items() <= t["metadata"]["labels"].items()]
            assert len(ours) == 1, o["metadata"]["name"]
        if o["kind"] == "Service":
            ports = {p["containerPort"] for c in ours[0]["spec"]["containers"] for p in c["ports"]}
            assert {p["port"] for p in o["spec"]["ports"]} <= ports
        if o["kind"] in ("Deployment", "StatefulSet", "Job"):
            _check_pod(o, claims)


def _given(container: dict[str, Any]) -> set[str]:
    """Names of the variables that a container of Kubernetes has."""
    sources = {"configMapRef": {x.partition("=")[0] for x in KUSTOMIZE["configMapGenerator"][0]["literals"]},
               "secretRef": {x.partition("=")[0] for x in (INFRA / "example.env").read_text().splitlines()}}
    return {e["name"] for e in container.get("env", [])}.union(*(sources[next(iter(s))] for s in container.get("envFrom", [])))


@pytest.mark.parametrize("name", ["prefect", "register", "cpu-worker", "gpu-worker", "spark-master", "spark-worker"])
def test_kubernetes_runs_what_compose_runs(name: str) -> None:
    service = COMPOSE["services"][name]
    (container,) = next(o for o in OBJECTS if o["metadata"]["name"] == name and "template" in o["spec"])["spec"]["template"]["spec"]["containers"]
    command = ["$(SPARK_LOCAL_HOSTNAME)" if before == "--host" and name == "spark-master" else word
               for before, word in pairwise(["", *service["command"]])]
    assert container["command"][: len(command)] == command and container["command"][len(command):] in ([], ["--limit", "1"])
    own = {"TAMIS_FILES_URL"} if name != "register" else {k for k in service["environment"] if not k.startswith(("PREFECT", "TAMIS_"))} | {"TAMIS_FILES_URL"}
    assert name == "spark-master" or set(service["environment"]) - own <= _given(container)


def test_the_image_has_what_the_services_start() -> None:
    """What the Dockerfile copies, installs and sets is what compose.yaml and its rehearsal begin with."""
    image = (INFRA / "Dockerfile").read_text()
    for service in COMPOSE["services"].values():
        if service["image"] == "tamis":
            program = Path(service["command"][0])
            assert program.name in ("prefect", "python", "spark-class") or (str(program.parent) == "/opt/tamis/infra" and (INFRA / program.name).exists())
    assert "cp -r /opt/tamis/src/infra /opt/tamis/infra" in image and os.access(INFRA / "register.sh", os.X_OK)
    assert f"WORKDIR {COMPOSE['x-tamis']['environment']['TAMIS_HOME']}" in image and "curl" in image, "the health check asks with it"
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().split()
    assert not {"infra", "recipes", "pyproject.toml", "README.md", "LICENSE"} & set(ignored) and "infra/.env" in ignored, "no password in the image"


def test_every_variable_of_compose_is_given_or_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("rehearsal", INFRA / "rehearsal.py")
    assert spec and spec.loader
    rehearsal = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rehearsal)
    services = rehearsal.resolved()["services"]
    assert "${" not in str(services) and set(services) == set(COMPOSE["services"])
    assert services["prefect"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://prefect:change-me@postgres")
    for name in ("compose.yaml", "example.env"):
        (tmp_path / name).write_text((INFRA / name).read_text().replace("POSTGRES_PASSWORD=change-me\n", ""))
    monkeypatch.setattr(rehearsal, "INFRA", tmp_path)
    with pytest.raises(KeyError, match="needs POSTGRES_PASSWORD"):
        rehearsal.resolved()


def _check_pod(o: dict[str, Any], claims: set[str]) -> None:
    spec = o["spec"]["template"]["spec"]
    volumes = {v["name"] for v in spec.get("volumes", [])} | {v["metadata"]["name"] for v in o["spec"].get("volumeClaimTemplates", [])}
    assert {v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes", [])} <= claims
    for container in spec["containers"]:
        assert {m["name"] for m in container.get("volumeMounts", [])} <= volumes and container["resources"]["requests"]
        if container["image"] == "tamis":
            assert spec["enableServiceLinks"] is False, "services named prefect and spark-... would set variables that both read"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kustomize_builds_them() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(INFRA / "kubernetes")], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(OBJECTS) + 1 and all(o["metadata"]["namespace"] == "tamis" for o in built)


def used() -> set[str]:
    """Names of all variables that files in infra/ set or read."""
    found = set(re.findall(r"^(?:ARG|ENV)? ?(\w+)=", (INFRA / "Dockerfile").read_text(), re.MULTILINE)) | {"PREFECT_SERVER_ANALYTICS_ENABLED"}
    found |= set(re.findall(r"\$\{?(\w+)", (INFRA / "compose.yaml").read_text()))
    for service in [COMPOSE["x-tamis"], *COMPOSE["services"].values()]:
        found |= set(service.get("environment", {}))
    found |= set(re.findall(r"\$([A-Z]\w+)", (INFRA / "prefect.yaml").read_text() + (INFRA / "register.sh").read_text()))
    found |= {literal.partition("=")[0] for literal in KUSTOMIZE["configMapGenerator"][0]["literals"]}
    text = "".join(f.read_text() for f in (INFRA / "kubernetes").glob("*.yaml"))
    return found | set(re.findall(r"\{name: ([A-Z_]+),", text)) | set(re.findall(r"key: ([A-Z_]+)\}", text))


def test_each_variable_is_explained_once() -> None:
    table = (INFRA / "README.md").read_text().partition("## Variables")[2]
    told = Counter(name for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row))
    assert set(told.values()) == {1}
    assert set(told) == used()
    known = set(_get_settings_fields(Settings))
    assert {v for v in told if v.startswith("PREFECT_")} - {"PREFECT_PORT"} <= known, "they are settings of this Prefect"
