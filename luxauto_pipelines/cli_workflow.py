"""`luxauto workflow …`: create, run, watch and steer workflows from a terminal. A few lines each over `workflows.control`."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.live import Live
from rich.table import Table

from luxauto_pipelines.console import Format, err, out, print_json, print_table

app = typer.Typer(help="Workflows that undo themselves when they fail.", no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
WorkflowArgument = Annotated[str, typer.Argument(help="The workflow's id, wf_….", show_default=False)]
POLL_SECONDS = 0.5
EXIT_CODES = (
    "Exit code 0: completed; 1: it failed, was cancelled or cannot be done; 3: it waits for an approval or is paused."
)
_EXIT = {"completed": 0, "failed": 1, "cancelled": 1, "needs_attention": 1, "waiting": 3, "paused": 3}
_COLOURS = {
    "done": "green",
    "intent": "cyan",
    "failed": "red",
    "failed_allowed": "yellow",
    "compensating": "magenta",
    "compensated": "blue",
    "compensation_failed": "bold red",
}


@app.command()
def create(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="A template, or custom.")],
    file: Annotated[Path | None, typer.Option("--file", help="YAML or JSON with what the template asks for.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="The same as JSON on the command line.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Store a workflow. Nothing runs yet.

    luxauto workflow create fashion_brand_launch --data '{"brand_name": "Élégance Noir"}'
    """
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows import control
    from luxauto_pipelines.workflows.templates import WorkflowType, build_spec

    if kind not in list(WorkflowType):
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(WorkflowType)}", param_hint="TYPE")
    workflow = control.create(reload(), build_spec(WorkflowType(kind), _read(file, data)), _actor())
    if format is Format.json:
        print_json({"workflow_id": workflow.key, "name": workflow.name, "status": workflow.state})
    else:
        out.print(f"{workflow.key}: {workflow.name}")
        out.print(f"Next: luxauto workflow run {workflow.key}")


@app.command(epilog=EXIT_CODES)
def run(
    workflow: WorkflowArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it until it has ended.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Start it. `luxauto up` has to be running: its daemon launches the runs and undoes what fails."""
    import dagster as dg

    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows import control

    books = reload()
    started = control.execute(books, dg.DagsterInstance.get(), workflow, _actor())
    if watch:
        raise typer.Exit(_watch(books, workflow))
    _say(started.key, started.state, format, run_id=started.run_id)


@app.command()
def status(workflow: WorkflowArgument, format: FormatOption = Format.table) -> None:
    """How far it is, task by task."""
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows.status import read_status

    books = reload()
    found = read_status(books, workflow)
    if format is Format.json:
        print_json(found)
    else:
        out.print(_table(books, workflow))


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20, format: FormatOption = Format.table
) -> None:
    """The newest workflows."""
    from luxauto_pipelines.instance import reload
    from resources.store import journal

    with reload().read() as (connection, brand):
        rows = journal.newest(connection, brand, limit)
    shown = [
        {"workflow_id": w.key, "name": w.name, "state": w.state, "done": f"{w.progress:.0%}", "created": w.created_at}
        for w in rows
    ]
    if format is Format.json:
        print_json(shown)
    else:
        print_table("Workflows", ["workflow_id", "name", "state", "done", "created"], (row.values() for row in shown))


@app.command(epilog=EXIT_CODES)
def watch(workflow: WorkflowArgument) -> None:
    """A live table until it has ended, or waits for a person."""
    from luxauto_pipelines.instance import reload

    raise typer.Exit(_watch(reload(), workflow))


@app.command()
def approve(
    workflow: WorkflowArgument,
    reject: Annotated[bool, typer.Option("--reject", help="Say no: the workflow fails and is undone.")] = False,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    task: Annotated[str | None, typer.Option(help="Which approval, where several wait.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Answer the question on which it waits."""
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows import control
    from resources.store import journal

    books = reload()
    with books.read() as (connection, brand):
        journal.find(connection, brand, workflow)
        waiting = journal.approvals(connection, brand, workflow=workflow, state="pending", step=task)
    if len(waiting) != 1:
        names = ", ".join(repr(approval.step) for approval in waiting)
        raise journal.WorkflowConflict(
            f"several questions wait: {names}. Name one with --task."
            if waiting
            else f"workflow {workflow} asks nothing."
        )
    decided = control.decide(books, waiting[0], approved=not reject, actor=_actor(), comment=comment)
    _say(workflow, decided.state, format, task=decided.step, question=decided.question)


@app.command()
def pause(workflow: WorkflowArgument, format: FormatOption = Format.table) -> None:
    """Let tasks that are under way end, and start no further one."""
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows import control

    _say(workflow, control.pause(reload(), workflow, _actor()).state, format)


@app.command()
def resume(workflow: WorkflowArgument, format: FormatOption = Format.table) -> None:
    """Go on after a pause, from the failed task, or with an undoing that got stuck. What is done is not repeated."""
    import dagster as dg

    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows import control

    books = reload()
    _say(workflow, control.resume(books, dg.DagsterInstance.get(), workflow, _actor()).state, format)


@app.command()
def cancel(workflow: WorkflowArgument, format: FormatOption = Format.table) -> None:
    """End it, and undo what was done."""
    import dagster as dg

    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.workflows import control

    books = reload()
    _say(workflow, control.cancel(books, dg.DagsterInstance.get(), workflow, _actor()).state, format)


def _read(file: Path | None, data: str | None) -> dict[str, Any]:
    if (file is None) == (data is None):
        raise typer.BadParameter("give either --file or --data")
    try:
        text = file.read_text(encoding="utf-8") if file else str(data)
        # JSON is YAML.
        value = json.loads(text) if data else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{file or '--data'} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{file or '--data'} must hold an object such as {{brand_name: …}}")
    return value


def _actor() -> Any:
    from luxauto_pipelines.workflows.control import Actor

    return Actor(os.environ.get("USER") or "operator")


def _say(workflow: str, state: str, format: Format, **more: Any) -> None:
    if format is Format.json:
        print_json({"workflow_id": workflow, "state": state, **more})
    else:
        out.print(f"{workflow}: {state}")


def _watch(books: Any, key: str) -> int:
    from resources.store import journal

    def state() -> str:
        with books.read() as (connection, brand):
            return journal.find(connection, brand, key).state

    now = state()
    with Live(_table(books, key), console=err, refresh_per_second=4, transient=True) as live:
        while (now := state()) not in _EXIT:
            live.update(_table(books, key))
            time.sleep(POLL_SECONDS)
    out.print(_table(books, key))
    return _EXIT[now]


def _table(books: Any, key: str) -> Table:
    from resources.store import journal

    with books.read() as (connection, brand):
        workflow = journal.find(connection, brand, key)
        steps = journal.steps(connection, workflow.id)
        waiting = journal.approvals(connection, brand, workflow=key, state="pending")
    title = f"{workflow.name}  {workflow.state}  {workflow.progress:.0%}"
    notes = [
        workflow.reason or "",
        *(f"waits for {a.step!r}: {a.question} (luxauto workflow approve {key})" for a in waiting),
    ]
    table = Table(title=title, title_justify="left", caption="\n".join(filter(None, notes)), caption_justify="left")
    for name in ("task", "state", "attempts", "seconds", "error"):
        table.add_column(name, justify="right" if name in ("attempts", "seconds") else "left")
    for step in steps:
        end = step.ended_at or workflow.ended_at
        seconds = f"{(end - step.started_at).total_seconds():.1f}" if end and step.started_at else ""
        colour = _COLOURS.get(step.state, "default")
        table.add_row(step.name, f"[{colour}]{step.state}[/]", str(step.attempts or ""), seconds, step.error or "")
    return table
