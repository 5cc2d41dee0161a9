"""`luxauto fraud …`: learn from a file of transactions, score one, and work on the queue of what a person should look at.

Belongs here: arguments, questions and tables. Does not belong here: how anything is scored (`assets/finance/fraud`).
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, actor, local_time, note, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    import polars as pl

    from assets.finance.fraud.columns import Transactions
    from assets.finance.fraud.rules import Rule
    from assets.finance.fraud.scoring import Scored
    from assets.finance.fraud.supervised import Model

app = typer.Typer(help="Suspicious payments and orders: learn, score, review, hold.", no_args_is_help=True)

FileArgument = Annotated[
    Path,
    typer.Argument(
        help="Transactions as CSV, CSV.gz, Parquet or XLSX: TRANSACTION_ID, TX_DATETIME, TX_AMOUNT, and whose they are.",
        show_default=False,
    ),
]
ModelOption = Annotated[Path | None, typer.Option("--model", help="What `train` wrote.")]
SourceOption = Annotated[str, typer.Option("--source", help="Name of the feed that ids and verdicts belong to.")]
OrderArgument = Annotated[str, typer.Argument(help="channel/number.", show_default=False)]
FEED = "transactions"
_MOST_SHOWN = 20


@app.command()
def train(
    file: FileArgument,
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="Learn from what lies before this day.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Where to write the model.", show_default=False)],
    review_cost: Annotated[float, typer.Option(min=0, help="What one review costs, in the file's unit.")] = 10.0,
    loss_share: Annotated[float, typer.Option(min=0, help="Share of a missed fraud's amount that is lost.")] = 1.0,
    history: Annotated[
        bool,
        typer.Option("--history/--no-history", help="Keep the newest rows in the model, for files of new days alone."),
    ] = True,
    source: SourceOption = FEED,
    format: FormatOption = Format.table,
) -> None:
    """Learn what fraud looks like from labels (TX_FRAUD: 1, 0 or empty), and say how well on later days.

    Verdicts of the review queue win over the file's labels. The last week before --until is scored by a model of what lies two
    weeks before it and earlier, which gives the figures, the calibration and the threshold that costs least.
    """
    from assets.finance.fraud.calibration import Costs
    from assets.finance.fraud.model_file import to_bytes
    from assets.finance.fraud.supervised import train as learn
    from resources.files import write_file

    with _stages("reading") as tell:
        _, given = _read(file)
        transactions, verdicts = _with_verdicts(given, source)
        model = learn(transactions, until, Costs(review_cost, loss_share), keep_history=history, progress=tell)
        write_file(out, to_bytes(model))
    told = {
        "model": str(out),
        "until": f"{until:%Y-%m-%d}",
        "rows": model.rows,
        "frauds": model.frauds,
        "verdicts": verdicts,
        "features": list(model.features),
        "validation": model.validation.as_dict(),
        "calibration_error": model.calibration_error,
        "threshold": asdict(model.threshold),
    }
    if format is Format.json:
        print_json(told)
        return
    _print_figures(model)
    say(f"{out}: {model.rows:,} rows, {model.frauds:,} frauds, {verdicts} of them from reviews.")
    say(f"Next: luxauto fraud score FILE --model {out} --out SCORES.parquet")


@app.command()
def score(
    file: FileArgument,
    out: Annotated[Path, typer.Option(help="Where to write the scores (Parquet).", show_default=False)],
    model: ModelOption = None,
    unsupervised: Annotated[
        bool, typer.Option("--unsupervised", help="Score without labels and without a model.")
    ] = False,
    reports: Annotated[
        bool | None,
        typer.Option(
            help="With --unsupervised: count frauds reported at the same place more than a week before, where the file has "
            "labels (the default), or look at no label at all."
        ),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="Rules of your own; default: the installation's, else ours.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="Transactions of the days before, where FILE begins with new ones.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Scores from here on are alerts; default: what costs least.")
    ] = None,
    queue: Annotated[bool, typer.Option("--queue", help="Put the alerts into the review queue.")] = False,
    source: SourceOption = FEED,
    format: FormatOption = Format.table,
) -> None:
    """Score every transaction of a file: its own id, score (0 to 1), alert, action, rules and reasons, as Parquet.

    Each row is judged by what was known at its moment: rows before it, and labels a week old. With a model, a file of new days
    alone is enough: the model keeps the days before.
    """
    from assets.finance.fraud.columns import FraudDataError
    from assets.finance.fraud.scoring import in_order_of_file, score_transactions
    from resources.files import write_file

    if unsupervised == (model is not None):
        raise FraudDataError("give either --model FILE (see `luxauto fraud train`) or --unsupervised")
    if reports is not None and not unsupervised:
        raise FraudDataError("--reports goes with --unsupervised: a model knows reported frauds in any case")
    with _stages("reading") as tell:
        frame, transactions = _read(file)
        learned = _read_model(model) if model is not None else None
        scored = score_transactions(
            transactions,
            _rules(rules),
            learned,
            threshold=threshold,
            reports=unsupervised and reports is not False,
            before=_read(before)[1].rows if before is not None else None,
            progress=tell,
        )
        tell("writing")
        content = io.BytesIO()
        in_order_of_file(frame, scored, transactions.names).write_parquet(content, compression="zstd")
        write_file(out, content.getvalue())
    queued = _enqueue(transactions, scored, source, learned) if queue else []
    _say_scored(out, transactions, scored, queued, format)


@app.command()
def queue(
    state: Annotated[str, typer.Option(help="open, decided or all.")] = "open",
    source: Annotated[str | None, typer.Option(help="Only of this feed; `orders` are those of the house.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    format: FormatOption = Format.table,
) -> None:
    """What a person should look at, the most suspicious first; and the orders that wait."""
    from luxauto_pipelines.instance import reload
    from resources.store.fraud import FraudReviewError, held_orders, read_reviews

    if state not in ("open", "decided", "all"):
        raise FraudReviewError(f"--state is {state!r} and may be open, decided or all")
    books = reload()
    with books.read() as (connection, brand):
        reviews = read_reviews(connection, brand, state=state, source=source, count=limit)
        held = held_orders(connection, brand)
    if format is Format.json:
        print_json({"reviews": [asdict(review) for review in reviews], "held": [asdict(hold) for hold in held]})
        return
    if reviews:
        rows = [
            [r.source, r.subject, _digits(r.score), local_time(r.occurred_at, books), r.verdict, "; ".join(r.reasons)]
            for r in reviews
        ]
        print_table("Reviews", ["source", "subject", "score", "when", "verdict", "why"], rows)
    else:
        say("Nothing waits for a review.")
    if held:
        rows = [[f"{h.channel}/{h.order_number}", local_time(h.held_at, books), h.held_by, h.reason] for h in held]
        print_table("Held orders", ["order", "since", "by", "why"], rows)


@app.command()
def review(
    subject: Annotated[str, typer.Argument(help="Id as the queue shows it.", show_default=False)],
    verdict: Annotated[str, typer.Argument(help="fraud or legit.", show_default=False)],
    source: SourceOption = FEED,
    text: Annotated[str | None, typer.Option("--note", help="What was found out.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Say what a transaction was. The verdict is a label of the next training; `legit` releases a held order.

    Orders of the house are of the source `orders`.
    """
    from luxauto_pipelines.instance import reload
    from resources.store.fraud import ORDERS, decide

    books = reload()
    feed = ORDERS if "/" in subject and source == FEED else source
    with books.write() as (connection, brand):
        decided = decide(connection, brand, feed, subject, verdict, actor(), text)
    if format is Format.json:
        print_json(asdict(decided))
    else:
        say(f"{decided.subject} of {decided.source}: {decided.verdict}, by {decided.decided_by}.")


@app.command()
def hold(
    order: OrderArgument,
    reason: Annotated[str, typer.Option(help="Why, for whoever wants to ship it.", show_default=False)],
) -> None:
    """Hold an order, so that nothing of it leaves until somebody releases it."""
    from luxauto_pipelines.instance import reload
    from resources.store.fraud import hold_order

    channel, number = _order(order)
    with reload().write() as (connection, brand):
        new = hold_order(connection, brand, channel, number, reason, actor())
    say(f"{order} is held." if new else f"{order} was held already.")


@app.command()
def release(order: OrderArgument, text: Annotated[str | None, typer.Option("--note", help="Why.")] = None) -> None:
    """Let a held order go on."""
    from luxauto_pipelines.instance import reload
    from resources.store.fraud import release_order

    channel, number = _order(order)
    with reload().write() as (connection, brand):
        release_order(connection, brand, channel, number, actor(), text)
    say(f"{order} is released.")


@app.command()
def rules(
    check: Annotated[Path | None, typer.Option(help="Say what is wrong with this file, or that nothing is.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the rules in force to this file, to edit.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """The rules in force: `fraud-rules.yaml` in the installation's folder, else those that come with luxauto."""
    from assets.finance.fraud.rules import SHIPPED, InvalidRule
    from resources.files import write_file

    found = _rules(check)
    if write is not None:
        if write.exists():
            raise InvalidRule(f"{write} exists already; give another name")
        own = _own_rules()
        write_file(write, (own if own.is_file() else SHIPPED).read_bytes())
        say(f"Edit {write}, check it with `luxauto fraud rules --check {write}`, and move it to {own}.")
        return
    rows = [
        {
            "rule": rule.name,
            "when": " and ".join(f"{c.feature} {c.test.replace('_', ' ')} {c.value:g}" for c in rule.when),
            "action": rule.action,
            "reason": rule.reason,
        }
        for rule in found
    ]
    if format is Format.json:
        print_json(rows)
    else:
        print_table(f"{len(rows)} rules", ["rule", "when", "action", "reason"], (row.values() for row in rows))


@app.command()
def drift(file: FileArgument, model: ModelOption = None, format: FormatOption = Format.table) -> None:
    """Whether a file still looks like what the model learned from: population stability index of each feature and the score.

    Below 0.1 is stable. Exit code 1 where the score or a feature has shifted (0.25 and more): train again.
    """
    from assets.finance.fraud.columns import FraudDataError
    from assets.finance.fraud.drift import drift_of
    from assets.finance.fraud.scoring import score_transactions

    if model is None:
        raise FraudDataError("give --model FILE, which `luxauto fraud train` wrote")
    with _stages("reading") as tell:
        _, transactions = _read(file)
        learned = _read_model(model)
        scored = score_transactions(transactions, [], learned, progress=tell)
    found = drift_of(learned.references, scored.features.with_columns(scored.rows["score"]))
    if format is Format.json:
        print_json([asdict(one) for one in found])
    else:
        print_table(
            "Population stability", ["what", "PSI", "state"], ([d.column, _digits(d.psi), d.state] for d in found)
        )
    raise typer.Exit(1 if any(one.state == "shifted" for one in found) else 0)


@contextmanager
def _stages(first: str) -> Iterator[Any]:
    """A progress bar that is told of stages."""
    with progress() as bar:
        task = bar.add_task(first, total=None)
        yield lambda stage: bar.update(task, description=stage, advance=1)


def _read(file: Path) -> "tuple[pl.DataFrame, Transactions]":
    """The rows as they are, and under our names.

    Raises CardDataRefused for a file with card numbers, and FraudDataError for rows of another width: scores of a part of the
    file would pass for those of the whole.
    """
    from assets.finance.fraud.columns import FraudDataError, as_transactions
    from resources.card_data import CardDataRefused
    from resources.tables import ROW_NUMBER, read_table

    source = read_table(file)
    if source.withheld.height:
        number, field, reason, _ = source.withheld.row(0)
        raise CardDataRefused(f"{file.name}, row {number}, column {field}: {reason}. Give tokens instead")
    if source.ragged.height:
        raise FraudDataError(f"{file.name}: {source.ragged.height} rows have another number of cells. Export it again")
    frame = source.rows.drop(ROW_NUMBER)
    return frame, as_transactions(frame)


def _with_verdicts(transactions: "Transactions", source: str) -> "tuple[Transactions, int]":
    """Labels with what people have found in reviews, which wins; and how many rows that concerns.

    Only where there is an installation: training asks for none.
    """
    from dataclasses import replace

    import polars as pl

    from luxauto_pipelines.instance import reload
    from resources.settings import load_settings
    from resources.store.fraud import read_verdicts

    if not (load_settings().home / "dagster").is_dir():
        return transactions, 0
    with reload().read() as (connection, brand):
        verdicts = read_verdicts(connection, brand, source)
    rows = transactions.rows
    if not verdicts.height:
        return transactions, 0
    if "fraud" not in rows.columns:
        rows = rows.with_columns(pl.lit(None, pl.Int8).alias("fraud"))
    found = rows.with_columns(pl.col("transaction").cast(pl.String).alias("subject")).join(
        verdicts.rename({"fraud": "verdict"}), on="subject", how="left", maintain_order="left"
    )
    labelled = found.with_columns(pl.coalesce("verdict", "fraud").alias("fraud")).drop("subject", "verdict")
    return replace(transactions, rows=labelled), found["verdict"].count()


def _own_rules() -> Path:
    from assets.finance.fraud.rules import RULES_FILE
    from resources.settings import load_settings

    return load_settings().home / RULES_FILE


def _rules(file: Path | None) -> "list[Rule]":
    from assets.finance.fraud.rules import InvalidRule, load_rules

    if file is not None and not file.is_file():
        raise InvalidRule(f"{file} is not a file. Check the path.")
    return load_rules(file or _own_rules())


def _read_model(file: Path) -> "Model":
    from assets.finance.fraud.model_file import ModelFileError, from_bytes

    if not file.is_file():
        raise ModelFileError(
            f"{file} is not a file. Make it with `luxauto fraud train FILE --until DATE --out {file}`."
        )
    return from_bytes(file.read_bytes(), str(file))


def _enqueue(transactions: "Transactions", scored: "Scored", source: str, model: "Model | None") -> list[str]:
    """Alerts into the review queue; the subjects that are new there."""
    from luxauto_pipelines.instance import reload
    from resources.store.fraud import ReviewRequest, request_reviews

    alerts = scored.rows.with_columns(transactions.rows["occurred_at"]).filter("alert")
    name = f"model until {model.until:%Y-%m-%d}" if model is not None else "without labels"
    wanted = [
        ReviewRequest(
            str(row["transaction"]),
            row["occurred_at"].replace(tzinfo=UTC),
            row["score"],
            row["reasons"],
            row["rules"],
            model=name,
        )
        for row in alerts.iter_rows(named=True)
    ]
    with reload().write() as (connection, brand):
        return request_reviews(connection, brand, source, wanted, actor())


def _say_scored(
    out: Path, transactions: "Transactions", scored: "Scored", queued: Sequence[str], format: Format
) -> None:
    import polars as pl

    alerts = scored.rows.filter("alert").sort("score", descending=True, nulls_last=True)
    told = {
        "scores": str(out),
        "rows": scored.rows.height,
        "alerts": alerts.height,
        "holds": alerts.filter(pl.col("action") == "hold").height,
        "threshold": scored.threshold,
        "rules_left_out": scored.left_out,
        "queued": len(queued),
    }
    if format is Format.json:
        print_json(told)
        return
    rows = [
        [str(row["transaction"]), _digits(row["score"]), row["action"], "; ".join(row["reasons"])]
        for row in alerts.head(_MOST_SHOWN).iter_rows(named=True)
    ]
    if rows:
        columns = [transactions.names["transaction"], "score", "action", "why"]
        print_table(f"The first {len(rows)} of {alerts.height:,} alerts", columns, rows)
    if scored.left_out:
        note(f"{len(scored.left_out)} rules need columns that the file lacks: {', '.join(scored.left_out)}")
    say(f"{out}: {scored.rows.height:,} scores, {alerts.height:,} alerts from {scored.threshold:.4f} on.")
    if queued:
        say(f"{len(queued):,} are new in the queue. Next: luxauto fraud queue")


def _print_figures(model: "Model") -> None:
    checked = model.validation
    rows = [
        ["ROC AUC", _digits(checked.roc_auc)],
        ["average precision", _digits(checked.average_precision)],
        ["card precision at 100", _digits(checked.card_precision_at_100)],
        ["calibration error", _digits(model.calibration_error, 5)],
        ["threshold", _digits(model.threshold.value, 4)],
        ["cost with it", f"{model.threshold.cost:,.0f} of {model.threshold.cost_without:,.0f}"],
    ]
    title = f"{checked.rows:,} later rows, {checked.frauds:,} frauds"
    print_table(title, ["figure", "value"], rows)


def _order(order: str) -> tuple[str, str]:
    from resources.store.fraud import FraudReviewError

    channel, slash, number = order.partition("/")
    if not slash or not channel or not number:
        raise FraudReviewError(f"{order!r} is no order: write channel/number, such as online_store/M-100001")
    return channel, number


def _digits(value: float | None, digits: int = 3) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
