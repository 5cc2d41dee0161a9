"""The Dagster runs of workflows: made under an id that the journal knows first, so that a crash in between loses nothing.

Belongs here: everything that speaks with the Dagster instance. Does not belong here: when a run is due (`reconciler`).
"""

import sys
import uuid
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from luxauto_pipelines.instance import MODULE
from luxauto_pipelines.launcher import find_worker, is_dead
from luxauto_pipelines.workflows.jobs import job_of
from luxauto_pipelines.workflows.spec import WorkflowSpec
from resources.store import journal
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from sqlalchemy import Connection

WORKFLOW_TAG = "workflow_id"
ROLE_TAG = "workflow_role"
TASKS_TAG = "luxauto/tasks"
UNDO_PRIORITY = "10"


def claim(connection: "Connection", workflow: journal.Workflow, role: str, *, kind: str, **values: Any) -> str | None:
    """Write down the id of the run that is about to be made. None where somebody else was faster.

    Whoever dies after this is replaced by `ensure`, which makes the run under the same id.
    """
    run_id = str(uuid.uuid4())
    written = journal.change(
        connection, workflow, kind=kind, run_id=run_id, run_role=role, segment=workflow.segment + 1, **values
    )
    return run_id if written else None


def ensure(instance: dg.DagsterInstance, books: BrandStore, workflow: journal.Workflow, names: list[str]) -> None:
    """Make the workflow's claimed run if it is not there yet, and put it into the queue if it is not there."""
    assert workflow.run_id is not None and workflow.run_role is not None
    run = instance.get_run_by_id(workflow.run_id)
    if run is None:
        try:
            run = _create(instance, books, workflow, names)
        except DagsterRunAlreadyExists:
            # Somebody else was faster, and puts it into the queue.
            return
    if run.status == dg.DagsterRunStatus.NOT_STARTED:
        # The workspace is asked for only by coordinators that route runs; the queue is none of them.
        instance.submit_run(run.run_id, workspace=cast(Any, None))


def submit_job(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    module: str,
    function: str,
    arguments: tuple[Any, ...],
    tags: dict[str, str],
    run_id: str | None = None,
) -> str:
    """Queue a run of a job that no code location lists; its worker rebuilds it as `module.function(*arguments)`."""
    run = _make_run(instance, job, module, function, arguments, tags, run_id)
    instance.submit_run(run.run_id, workspace=cast(Any, None))
    return run.run_id


def _create(
    instance: dg.DagsterInstance, books: BrandStore, workflow: journal.Workflow, names: list[str]
) -> dg.DagsterRun:
    role = str(workflow.run_role)
    arguments = (books.settings.brand, workflow.key, role, workflow.epoch, names)
    spec = WorkflowSpec.model_validate(workflow.spec)
    job = job_of(spec, books, workflow.key, role, workflow.epoch, names)
    tags = {WORKFLOW_TAG: workflow.key, ROLE_TAG: role, "luxauto/workflow": workflow.name, "dagster/max_retries": "0"}
    if role == "compensation":
        tags["dagster/priority"] = UNDO_PRIORITY
    module = "luxauto_pipelines.workflows.jobs"
    return _make_run(instance, job, module, "build_workflow_job", arguments, tags, workflow.run_id)


def _make_run(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    module: str,
    function: str,
    arguments: tuple[Any, ...],
    tags: dict[str, str],
    run_id: str | None,
) -> dg.DagsterRun:
    pointer = dg.build_reconstructable_job(module, function, cast(Any, arguments))
    return instance.create_run_for_job(
        job,
        run_id=run_id,
        tags=tags,
        job_code_origin=pointer.get_python_origin(),
        remote_job_origin=_remote_origin(job.name),
    )


def state_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """missing, waiting (made, or in the queue), working, succeeded, failed or cancelled.

    A run whose worker has died is reported as failed to Dagster first: nobody else may do so for a long time.
    """
    run = instance.get_run_by_id(run_id)
    if run is None:
        return "missing"
    if not run.is_finished and is_dead(run):
        run = instance.get_run_by_id(run_id) or run
        if run.is_finished:
            return state_of(instance, run_id)
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "its worker died while it was being cancelled")
        else:
            instance.report_run_failed(run, "its worker died")
        return state_of(instance, run_id)
    states = {
        dg.DagsterRunStatus.NOT_STARTED: "waiting",
        dg.DagsterRunStatus.QUEUED: "waiting",
        dg.DagsterRunStatus.SUCCESS: "succeeded",
        dg.DagsterRunStatus.FAILURE: "failed",
        dg.DagsterRunStatus.CANCELED: "cancelled",
    }
    return states.get(run.status, "working")


def stop_worker(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Make sure that no process of a finished run still works. Returns whether it is so now."""
    run = instance.get_run_by_id(run_id)
    worker = find_worker(run) if run else None
    if worker is None:
        return True
    worker.kill()
    return not worker.is_running()


def cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    """Ask the run to end, wherever it is on its way."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if run.status == dg.DagsterRunStatus.NOT_STARTED:
        instance.report_run_canceled(run)
    else:
        instance.run_coordinator.cancel_run(run_id)


def _remote_origin(job_name: str) -> RemoteJobOrigin:
    # The queue files each run under a code location; the job itself is rebuilt from `job_code_origin`.
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=MODULE)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name)
