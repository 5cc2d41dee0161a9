"""Commands of the gateway: serving it, its tokens, and the proof of the audit log."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from luxauto_pipelines.console import Format, err, out, print_json, print_table

if TYPE_CHECKING:
    from luxauto_pipelines.gateway.tokens import TokenAuthority
    from resources.store.brand_store import BrandStore

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]

token_app = typer.Typer(help="Bearer tokens of the REST gateway.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to `luxauto`."""
    app.command("serve")(serve_command)
    app.add_typer(token_app, name="token")
    app.add_typer(audit_app, name="audit")


def serve_command(
    host: Annotated[str, typer.Option(help="Address of the gateway.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 for any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 2,
) -> None:
    """Serve the REST gateway, print one line when it is ready, and run until interrupted."""
    from luxauto_pipelines.gateway.serve import serve
    from resources.settings import load_settings

    raise typer.Exit(serve(load_settings(), host, port, workers, _print_line))


def _print_line(line: str) -> None:
    out.print(line, highlight=False, soft_wrap=True)


@token_app.command("issue")
def token_issue(
    role: Annotated[str, typer.Option(help="admin, developer, api_user or read_only.")],
    subject: Annotated[str, typer.Option(help="Who it is for; the name that the audit log shows.")] = "operator",
    hours: Annotated[float, typer.Option(help="How long it is valid.")] = 1.0,
    format: FormatOption = Format.table,
) -> None:
    """Print a new token on standard output, and its id and end on standard error."""
    from luxauto_pipelines.gateway.tokens import InvalidToken
    from luxauto_pipelines.instance import reload

    books = reload()
    try:
        issued = _authority(books).issue(subject, role, timedelta(hours=hours))
    except (InvalidToken, OverflowError) as error:
        raise typer.BadParameter(str(error)) from error
    details = {"role": role, "token_id": issued.token_id, "expires_at": issued.expires_at.isoformat()}
    _record(books, "token.issued", subject, details)
    if format is Format.json:
        print_json({"token": issued.token, "subject": subject, **details})
        return
    err.print(
        f"id {issued.token_id}, role {role}, until {issued.expires_at.isoformat()}", highlight=False, soft_wrap=True
    )
    out.print(issued.token, highlight=False, soft_wrap=True)


@token_app.command("revoke")
def token_revoke(token: Annotated[str, typer.Argument(help="The token, or its id (jti).")]) -> None:
    """Refuse a token from now on; running workers learn of it within two seconds."""
    from luxauto_pipelines.gateway.configuration import load_gateway_settings
    from luxauto_pipelines.gateway.tokens import LEEWAY_SECONDS, unverified_id
    from luxauto_pipelines.instance import reload
    from resources.store.tokens import revoke

    books = reload()
    now = datetime.now(UTC)
    longest = now + load_gateway_settings().longest_lifetime
    known = unverified_id(token)
    token_id, ends = known or (token, longest)
    if known is None and (token.count(".") == 2 or not 0 < len(token) <= 255):
        raise typer.BadParameter("this is neither a token nor the id of one")
    with books.write() as (connection, _brand):
        # A token says when it ends, and may lie; none is valid for longer than this.
        new = revoke(
            connection, token_id, "command line", now, min(max(ends, now), longest) + timedelta(seconds=LEEWAY_SECONDS)
        )
    _record(books, "token.revoked", token_id, {})
    out.print(f"{token_id} is refused{'' if new else ', as before'}", highlight=False, soft_wrap=True)


@audit_app.command("verify")
def audit_verify(
    expect: Annotated[
        str | None, typer.Option(help="The newest hash as noted earlier: finds rows taken from the end.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Prove that no row of the audit log was changed, put in or taken out. Exit code 1 when one was."""
    from luxauto_pipelines.instance import reload
    from resources.store.audit import as_dict, holds_hash, verify

    with reload().read() as (connection, brand):
        chain = as_dict(verify(connection, brand))
        if expect and not chain["fault"] and not holds_hash(connection, brand, expect):
            chain["fault"] = f"no row has the expected hash {expect}: rows at the end were taken out"
    chain["intact"] = chain["fault"] is None
    if format is Format.json:
        print_json(chain)
    else:
        print_table("Audit log", ["rows", "head", "fault"], [[chain["rows"], chain["head"], chain["fault"] or "none"]])
    raise typer.Exit(0 if chain["intact"] else 1)


def _authority(books: "BrandStore") -> "TokenAuthority":
    from luxauto_pipelines.gateway.configuration import load_gateway_settings
    from luxauto_pipelines.gateway.tokens import TokenAuthority

    settings = load_gateway_settings()
    return TokenAuthority(
        settings.keys(books.vault), settings.jwt_issuer, settings.jwt_audience, settings.longest_lifetime
    )


def _record(books: "BrandStore", action: str, subject: str, details: dict[str, str]) -> None:
    from resources.store.audit import record

    with books.write() as (connection, brand):
        record(connection, brand, action, subject, details)
