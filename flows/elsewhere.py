"""Handing a model stage to another work pool: start its deployment, follow it, notice when its worker is lost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger, runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed

from ..pipeline.errors import LostWorkerError, TamisError
from ..pipeline.workspace import Place
from .model_stage import lives, spoken

POLL = 1.0  # seconds between two looks at a job
SILENT_LOOKS = 10  # looks at which a running job shows no sign of life until it counts as lost: starting takes some seconds


_stops: dict[str, threading.Event] = {}  # of each flow run of this process


@contextmanager
def stopped_with_us() -> Iterator[None]:
    """Where the block is left by an error, a cancellation too, every `follow` of this flow run ends, and its job with it."""
    stop = _stops[str(runtime.flow_run.get_id())] = threading.Event()
    try:
        yield
    except BaseException:
        stop.set()
        raise


def follow(deployment: str, parameters: dict[str, Any], place: Place) -> None:
    """Run a job of the GPU pool and wait for it.

    Raises LostWorkerError where its worker died (worth another try), TamisError where the job failed or nobody does such jobs.
    """
    index, parts = parameters["index"], parameters["parts"]
    name = f"stage-{index}-parts-{spoken(parts).replace(' ', '-')}"
    try:
        run: FlowRun = run_deployment(deployment, parameters=parameters, flow_run_name=name, timeout=0)  # type: ignore[assignment]
    except ObjectNotFound as e:
        raise TamisError(f"there is no deployment {deployment} for stages that ask a model: register it (`tamis deploy --gpu-pool` "
                         "does, and infra/prefect.yaml), name another as gpu_deployment, or give gpu: inline") from e
    get_run_logger().info("stage %d, parts %s: handed to %s as %s", index, spoken(parts), deployment, run.name)
    with _cancelled_with_us(run.id):
        state = _watch(run.id, place, index, parts)
    if state.is_completed():
        return
    if state.is_crashed():
        raise LostWorkerError(f"the job {run.name} ({deployment}) lost its worker: {state.message or 'no sign of life'}")
    raise TamisError(f"the job {run.name} ({deployment}) ended as {state.name}: {state.message or 'see its logs'}")


def _watch(run_id: UUID, place: Place, index: int, parts: list[int]) -> State[Any]:
    silent, stop = 0, _stops.get(str(runtime.flow_run.get_id()), threading.Event())
    with get_client(sync_client=True) as client:
        while True:
            state = client.read_flow_run(run_id).state
            assert state is not None
            if state.is_final():
                return state
            silent = silent + 1 if state.is_running() and not lives(place, index, parts) else 0
            if silent >= SILENT_LOOKS:
                client.set_flow_run_state(run_id, Crashed(message="its process shows no sign of life"), force=True)
            if stop.wait(POLL):
                raise TamisError("the run that asked for this job has ended before it")


@contextmanager
def _cancelled_with_us(run_id: UUID) -> Iterator[None]:
    """A job does not outlive the run that asked for it."""
    try:
        yield
    except BaseException:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run_id, Cancelling(), force=False)
        raise
