"""`luxauto`, the command line. Each command is a few lines over a function that does the work elsewhere."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from luxauto_pipelines import (
    cli_attribution,
    cli_bookkeeping,
    cli_brand,
    cli_channels,
    cli_experiment,
    cli_finance,
    cli_forecast,
    cli_fraud,
    cli_fx,
    cli_gateway,
    cli_gpu,
    cli_inventory,
    cli_purchases,
    cli_reconcile,
    cli_replenish,
    cli_replenish_plan,
    cli_stock_keeping,
    cli_valuation,
    cli_vault,
    cli_visuals,
    cli_workflow,
)
from luxauto_pipelines.console import Format, fail, out, print_json, print_table, progress

app = typer.Typer(
    help="Run a luxury brand's operations: stock, ledger, forecasts and reports from real orders.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
ingest_app = typer.Typer(help="Take a file in. Idempotent: the same file twice changes nothing.", no_args_is_help=True)
app.add_typer(ingest_app, name="ingest")
cli_finance.app.add_typer(cli_bookkeeping.app)
cli_finance.app.add_typer(cli_purchases.app)
cli_finance.app.add_typer(cli_reconcile.app, name="reconcile")
app.add_typer(cli_finance.app, name="finance")
app.add_typer(cli_forecast.app, name="forecast")
app.add_typer(cli_brand.app, name="brand")
app.add_typer(cli_fraud.app, name="fraud")
app.add_typer(cli_channels.app, name="channel")
app.add_typer(cli_fx.app, name="fx")
cli_inventory.app.add_typer(cli_stock_keeping.app)
cli_inventory.app.add_typer(cli_valuation.app)
app.add_typer(cli_inventory.app, name="inventory")
cli_replenish.app.add_typer(cli_replenish_plan.app)
app.add_typer(cli_replenish.app, name="replenish")
app.add_typer(cli_workflow.app, name="workflow")
app.add_typer(cli_vault.app, name="vault")
app.add_typer(cli_visuals.app, name="visuals")
app.add_typer(cli_gpu.app, name="gpu")
app.add_typer(cli_experiment.app, name="experiment")
cli_attribution.register(app)
cli_gateway.register(app)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
FileArgument = Annotated[Path, typer.Argument(help="CSV, CSV.gz, Parquet or XLSX.", show_default=False)]
EXIT_CODES = "Exit code 0: all rows taken; 2: some rows were put into quarantine; 1: nothing could be read."


@app.callback()
def _main(
    brand: Annotated[
        str | None, typer.Option(help="Brand to work for; default: $LUXAUTO_BRAND or the installation's.")
    ] = None,
) -> None:
    if brand:
        os.environ["LUXAUTO_BRAND"] = brand


@app.command()
def init(
    name: Annotated[str | None, typer.Option(help="Name of the brand, as reports show it.")] = None,
    currency: Annotated[str | None, typer.Option(help="Base currency of the books, an ISO 4217 code.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of the books, such as Europe/Paris.")] = None,
    country: Annotated[
        str | None, typer.Option(help="Whose public holidays the forecasts look at (ISO 3166, such as FR).")
    ] = None,
    automation: Annotated[bool | None, typer.Option(help="Start with schedules and sensors switched on.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Make an installation in $LUXAUTO_HOME (default .luxauto), or change what its brand is called and keeps books in.

    Without it, the first ingest makes one and takes currency and time zone from the file.
    """
    from assets.finance.money import exponent
    from luxauto_pipelines.instance import prepare
    from resources.settings import BrandSettings, load_settings, save_brand

    settings = load_settings()
    if currency is not None:
        exponent(currency)
    given = {"name": name, "base_currency": currency, "timezone": timezone, "country": country}
    values = {**settings.current.model_dump(), **{k: v for k, v in given.items() if v is not None}}
    top_level = {} if automation is None else {"automation": automation}
    settings = save_brand(settings, settings.brand, BrandSettings.model_validate(values), **top_level)
    prepare(settings)
    brand = settings.current
    if format is Format.json:
        installation = {"home": str(settings.home), "brand": settings.brand, "automation": settings.automation}
        print_json({**installation, **brand.model_dump()})
    else:
        out.print(f"{settings.home}: brand {settings.brand!r} ({brand.name}), {brand.base_currency}, {brand.timezone}")
        out.print("Next: luxauto ingest orders FILE --preset NAME")


@ingest_app.command("orders", epilog=EXIT_CODES)
def ingest_orders_command(
    file: FileArgument,
    preset: Annotated[
        str | None, typer.Option(help="online-retail, shopify-export, woocommerce-export or luxauto.")
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="A map of your own (YAML); see docs/ingest.md.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Take order lines in: sales, returns, postage, fees, gift cards; each lands where an accountant would put it."""
    from assets.ingestion.mapping import MappingError, load_preset, parse_mapping
    from luxauto_pipelines.ingest import ingest_orders

    if (preset is None) == (map_file is None):
        raise MappingError("give either --preset NAME or --map FILE")
    if map_file is not None:
        if not map_file.is_file():
            raise MappingError(f"{map_file} is not a file. Check the path after --map.")
        mapping = parse_mapping(map_file.read_text(encoding="utf-8"), str(map_file))
    else:
        mapping = load_preset(str(preset))
    name = preset or str(map_file)
    _ingest(lambda books, tell, count: ingest_orders(books, file, mapping, name, tell, count), format)


def _reference_command(kind: Any, text: str) -> None:
    @ingest_app.command(kind, help=text, epilog=EXIT_CODES)
    def command(file: FileArgument, format: FormatOption = Format.table) -> None:
        from luxauto_pipelines.ingest import ingest_reference

        _ingest(lambda books, tell, count: ingest_reference(books, file, kind, tell, count), format)


_reference_command(
    "catalog", "Take SKUs in: product, category, collection, price, cost, lead time, supplier, reorder point."
)
_reference_command("stock", "Take stock movements in: opening counts, receipts, adjustments, write-offs, transfers.")
_reference_command("rates", "Take exchange rates in: date, base, quote, rate (units of quote for one of base), source.")


@app.command()
def refresh(
    everything: Annotated[bool, typer.Option("--all", help="Make every asset and every day again.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Materialize, through Dagster, whatever the ingested rows make stale: days of the books first, reports after them."""
    from luxauto_pipelines.instance import reload

    result = _refresh(reload(), everything=everything)
    if format is Format.json:
        print_json(result)
    elif result["assets"]:
        days = f", days {result['first_day']} to {result['last_day']}" if result["first_day"] else ""
        out.print(f"{len(result['assets'])} assets made{days}. Log: {result['log']}")
    else:
        out.print("Everything is up to date.")


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of the invented maison.")] = 7,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of its two years; default: yesterday.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Invent a maison, ingest its two years and materialize everything; then say in eleven lines what was found."""
    from luxauto_pipelines.demo.command import run_demo, summary

    found = run_demo(seed, until.date() if until else None, _ingest_quietly, _refresh)
    if format is Format.json:
        print_json(found)
    else:
        for line in summary(found):
            out.print(line, highlight=False, soft_wrap=True)


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Address of the web server.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the web server.")] = 3000,
    api_port: Annotated[int, typer.Option(help="Port of the REST gateway.")] = 8000,
) -> None:
    """Start the Dagster web server, the daemon and the REST gateway, print the addresses, and run until interrupted."""
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.servers import serve

    raise typer.Exit(serve(reload().settings, host, port, api_port, out.print))


@app.command()
def doctor(format: FormatOption = Format.table) -> None:
    """Look the installation over and say what to do about each fault. Exit code 1 when something is broken."""
    from luxauto_pipelines.doctor import examine

    findings = examine()
    if format is Format.json:
        print_json([finding.as_dict() for finding in findings])
    else:
        print_table("Installation", ["what", "state", "detail", "remedy"], (f.as_dict().values() for f in findings))
    raise typer.Exit(1 if any(finding.state == "fault" for finding in findings) else 0)


def _ingest(take: Callable[..., Any], format: Format) -> None:
    from luxauto_pipelines.instance import reload

    with progress() as bar:
        task = bar.add_task("starting", total=None)
        result = take(
            reload(),
            lambda stage: bar.update(task, description=stage, completed=0),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if format is Format.json:
        print_json(result.as_dict())
    else:
        _print_ingest(result)
    raise typer.Exit(result.exit_code)


def _ingest_quietly(take: Callable[..., Any]) -> Any:
    from luxauto_pipelines.instance import reload

    return take(reload(), lambda stage: None)


def _print_ingest(result: Any) -> None:
    counts = ("rows_in", "taken", "new", "known", "void", "quarantined")
    print_table(Path(result.file).name, counts, [[getattr(result, name) for name in counts]])
    if result.kinds:
        from assets.finance.money import to_decimal

        rows = [
            [k["kind"], k["lines"], k["quantity"], to_decimal(k["amount_minor"], k["currency"]), k["currency"]]
            for k in result.kinds
        ]
        print_table(f"{result.first_day} to {result.last_day}", ["kind", "lines", "units", "amount", "currency"], rows)
    if result.quarantined:
        print_table("Put aside", ["field", "reason", "rows"], (reason.values() for reason in result.reasons))
        out.print(f"The rows put aside, with their reasons: {result.quarantine_file}", highlight=False, soft_wrap=True)


def _refresh(books: Any, *, everything: bool = False) -> dict[str, Any]:
    from luxauto_pipelines.refresh import plan, run

    wanted = plan(books, everything=everything)
    log: Path | None = None
    if not wanted.is_empty:
        with progress() as bar:
            task = bar.add_task("starting Dagster", total=len(wanted.assets))
            log = run(
                books.settings,
                wanted,
                lambda step, done, total: bar.update(task, description=step, completed=done, total=total),
            )
    pictures, pictures_log = _refresh_pictures(books, everything=everything)
    return {
        "assets": [*wanted.assets, *pictures.assets],
        "first_day": wanted.first_day,
        "last_day": wanted.last_day,
        "log": str(log or pictures_log) if log or pictures_log else None,
        "briefs": list(pictures.briefs),
    }


def _refresh_pictures(books: Any, *, everything: bool = False) -> tuple[Any, Path | None]:
    # After the books: a brief that cannot be read keeps no figure back.
    from luxauto_pipelines.refresh_pictures import make_pictures, plan_pictures

    wanted, log = plan_pictures(books, everything=everything), None
    if not wanted.is_empty:
        with progress() as bar:
            task = bar.add_task("pictures", total=len(wanted.assets))
            log = make_pictures(
                books,
                wanted,
                lambda step, done, total: bar.update(task, description=step, completed=done, total=total),
            )
    return wanted, log


def main() -> None:
    """Entry point: errors that a person can mend become one message and exit code 1.

    Card data is refused before any command sees it: arguments end in shells' histories, lists of processes and the audit log.
    """
    from pydantic import ValidationError

    from assets.finance.accounts import InvalidChart
    from assets.finance.fraud.columns import FraudDataError
    from assets.finance.fraud.model_file import ModelFileError
    from assets.finance.fraud.rules import InvalidRule
    from assets.finance.fx_closing import OutOfOrder
    from assets.finance.money import UnknownCurrency
    from assets.finance.payouts.frames import StatementError
    from assets.finance.reports.model import ReportError
    from assets.finance.rules import InvalidEvent
    from assets.forecasting.panel import InvalidPanel
    from assets.ingestion.mapping import MappingError
    from assets.inventory import availability
    from assets.inventory.buying.policies import InvalidPolicy
    from assets.inventory.buying.settings import BuyingError
    from assets.inventory.simulation.setting import SimulationError
    from assets.marketing.attribution.errors import AttributionError
    from assets.marketing.experiments.errors import ExperimentError
    from assets.visuals.errors import VisualsError
    from luxauto_pipelines.agents.registry import AgentError
    from luxauto_pipelines.refresh import RefreshFailed
    from luxauto_pipelines.workflows.spec import InvalidWorkflow
    from resources.card_data import CardDataRefused, find_card_data
    from resources.channels.protocol import ChannelError
    from resources.lake import MissingAsset
    from resources.log_redaction import redact_logs
    from resources.outbound import OutboundFailed, OutboundRefused
    from resources.settings import SettingsError
    from resources.store import movements
    from resources.store.connections import UnknownConnection
    from resources.store.customers import UnknownCustomer
    from resources.store.engine import StoreError
    from resources.store.fraud import FraudReviewError
    from resources.store.journal import UnknownWorkflow, WorkflowConflict
    from resources.store.ledger import LedgerError
    from resources.store.locks import Busy
    from resources.store.periods import CannotClose, PeriodClosed
    from resources.store.purchasing import PurchaseOrderError
    from resources.store.reconciliation import ReconciliationError
    from resources.store.reservations import NotEnough, TakenReference, UnknownReservation
    from resources.store.stock_keeping import InvalidStockKeeping
    from resources.store.supplier_invoices import UnknownInvoice
    from resources.tables import UnreadableTable
    from resources.vault import VaultError

    known = (
        AgentError,
        AttributionError,
        Busy,
        BuyingError,
        CardDataRefused,
        CannotClose,
        ChannelError,
        ExperimentError,
        FraudDataError,
        FraudReviewError,
        InvalidChart,
        InvalidEvent,
        InvalidPanel,
        InvalidPolicy,
        InvalidRule,
        InvalidStockKeeping,
        InvalidWorkflow,
        LedgerError,
        MappingError,
        MissingAsset,
        ModelFileError,
        NotEnough,
        OutOfOrder,
        OutboundFailed,
        OutboundRefused,
        PeriodClosed,
        PurchaseOrderError,
        ReconciliationError,
        RefreshFailed,
        ReportError,
        SettingsError,
        SimulationError,
        StatementError,
        StoreError,
        TakenReference,
        UnknownConnection,
        UnknownCurrency,
        UnknownInvoice,
        UnknownCustomer,
        UnknownReservation,
        UnknownWorkflow,
        UnreadableTable,
        VaultError,
        VisualsError,
        WorkflowConflict,
        availability.InvalidBundle,
        movements.InvalidBundle,
    )
    redact_logs()
    try:
        for number, argument in enumerate(sys.argv[1:], 1):
            if find_card_data(argument) is not None:
                raise CardDataRefused(
                    f"argument {number} holds what looks like payment card data, which is taken nowhere"
                )
        app()
    except known as error:
        fail(str(error))
        sys.exit(1)
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
        sys.exit(1)


if __name__ == "__main__":
    main()
