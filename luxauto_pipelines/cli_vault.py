"""Commands of the vault: keys that change, personal data that is opened for a reason, erased on request, deleted in time."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from luxauto_pipelines.console import Format, out, print_json, print_table, progress

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
CustomerArgument = Annotated[
    str, typer.Argument(help="The client's number, as the source gave it.", show_default=False)
]
ReasonOption = Annotated[
    str, typer.Option(help="Why, for the audit log, such as a ticket's number.", show_default=False)
]

app = typer.Typer(
    help="Keys of what is sealed, and personal data: rotate, status, purge, reveal, erase. See docs/pci.md.",
    no_args_is_help=True,
)


@app.command("rotate")
def rotate_command(format: FormatOption = Format.table) -> None:
    """Make a new data key, seal personal data and credentials with it, and destroy the old one.

    Nobody has to stop: everything stays readable at each moment. What was interrupted goes on with the next call. Data keys are
    encrypted with the key of $LUXAUTO_VAULT_KEY, by the command of $LUXAUTO_KMS_COMMAND, or with a key of secret.key; after
    one of these changed, name the earlier key in $LUXAUTO_VAULT_OLD_KEYS and rotate.
    """
    from luxauto_pipelines.instance import reload
    from resources.store.key_ring import rotate

    books = reload()
    with progress() as bar:
        task = bar.add_task("sealing anew", total=None)
        done = rotate(books, lambda sealed, total: bar.update(task, completed=sealed, total=total))
    if format is Format.json:
        print_json(done.as_dict())
        return
    begun = "an interrupted rotation was gone on with" if done.resumed else "a new key was made"
    _say(f"{begun}: {done.key_id} seals from now on")
    _say(f"rows sealed anew: {done.resealed}; keys encrypted anew: {done.rewrapped}; destroyed: {done.destroyed}")


@app.command("status")
def status_command(format: FormatOption = Format.table) -> None:
    """Which keys there are, what they seal, and whether a rotation has something left to do (exit code 2)."""
    from luxauto_pipelines.instance import reload
    from resources.store.key_ring import read_state

    state = read_state(reload())
    if format is Format.json:
        keys = [{**vars(key)} for key in state.keys]
        print_json(
            {"keys": keys, "unsealed": state.unsealed, "wrapping_key": state.wrapping_key, "settled": state.is_settled}
        )
    else:
        print_table(
            "Data keys",
            ["key", "state", "encrypted with", "made", "rows"],
            ([k.key_id, k.state, k.wrapped_with, f"{k.created_at:%Y-%m-%d}", k.rows] for k in state.keys),
        )
        _say(
            f"New keys are encrypted with {state.wrapping_key}. Rows as an earlier version wrote them: {state.unsealed}"
        )
        if not state.is_settled:
            _say("Next: luxauto vault rotate")
    raise typer.Exit(0 if state.is_settled else 2)


@app.command("purge")
def purge_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Delete what has been kept for long enough: profiles, bodies of messages, old answers, quarantine files.

    The days stand in luxauto.yaml under `retention`. A schedule does the same every night.
    """
    from luxauto_pipelines.instance import reload
    from resources.store.retention import purge

    done = purge(reload(), datetime.now(UTC), dry_run=dry_run).as_dict()
    if format is Format.json:
        print_json({"dry_run": dry_run, **done})
    else:
        print_table("Would be deleted" if dry_run else "Deleted", done, [done.values()])


@app.command("reveal")
def reveal_command(customer: CustomerArgument, reason: ReasonOption, format: FormatOption = Format.table) -> None:
    """Show who a client is. The audit log tells who looked, whose profile it was, and why."""
    from luxauto_pipelines.instance import reload
    from resources.store.customers import read_profile

    books = reload()
    with books.write() as (connection, brand):
        profile = read_profile(connection, brand, books.vault, customer, reason=reason).as_dict()
    if format is Format.json:
        print_json(profile)
    else:
        print_table("Client", profile, [profile.values()])


@app.command("erase")
def erase_command(customer: CustomerArgument, reason: ReasonOption) -> None:
    """Forget who a client is, as they may ask. What they bought stays, under a number."""
    from luxauto_pipelines.instance import reload
    from resources.store.customers import erase_profile

    with reload().write() as (connection, brand):
        erase_profile(connection, brand, customer, reason=reason)
    _say(f"Nothing is kept of who the client {customer} is.")


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
