"""How many pictures an hour: the engine beside diffusers' own pipeline, on the full SDXL with random weights.

`make bench-gpu` on a machine with a card. Each lever (layout, compiling, batches, fp8, fewer steps) is measured beside what was
predicted for it, and each rate is told as a share of what the device can do. `--size tiny` runs all of it on a CPU in two
minutes: that shows that it runs and that pictures stay the same, and says nothing of a card. `--end-to-end` asks
`luxauto gpu serve` by 32 clients. Writes `benchmarks/out/gpu.json` and `gpu.md`; exit code 1 where a picture is not the same.
"""

import gc
import json
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from benchmarks import gpu_card, gpu_server, gpu_work
from benchmarks.gpu_model import Size, build
from benchmarks.gpu_page import markdown
from benchmarks.gpu_work import NOMINAL_TFLOPS, Work, synchronise
from resources.gpu import fp8
from resources.gpu.client import GpuError
from resources.gpu.engine import Engine, EngineOptions, Job

OUT = Path(__file__).parent / "out"
CLOSE = 1e-4
REPEATS = 3
OVERLAPPED_BATCHES = 4
PROMPT, NEGATIVE, GUIDANCE = "a leather bag on a marble table", "blurred", 5.0
progress = Console(stderr=True)

Kind = Literal["stock", "engine", "overlapped"]


@dataclass(frozen=True)
class Plan:
    """Sizes of one run."""

    size: Size
    device: str
    side: int
    steps: int
    batches: tuple[int, ...]
    dtype: Literal["float32", "bfloat16"]
    end_to_end_images: int


FULL = Plan("full", "cuda", 1024, 30, (1, 4, 8, 16), "bfloat16", 128)
TINY = Plan("tiny", "cpu", 64, 6, (1, 2, 4), "float32", 96)


@dataclass(frozen=True)
class Variant:
    """One way to paint. `exact`: the picture has to be the stock pipeline's, in float32 within 1e-4."""

    name: str
    kind: Kind
    dtype: str
    batches: tuple[int, ...]
    steps: int
    guidance: float = GUIDANCE
    sampler: str = "euler"
    guided: tuple[float, float] = (0.0, 1.0)
    options: EngineOptions = field(default_factory=EngineOptions)
    exact: bool = False

    @property
    def guided_steps(self) -> int:
        if self.guidance <= 1.0:
            return 0
        return round(self.guided[1] * self.steps) - round(self.guided[0] * self.steps)


@dataclass(frozen=True)
class Row:
    """What was measured of a variant in one size of batch: seconds of a batch, TFLOP of a picture, and how far its latents are
    from the stock pipeline's (root of the mean square, for theirs as 1)."""

    variant: str
    batch: int
    seconds: float
    images_per_hour: float
    tflop: float
    tflops: float
    of_measured: float
    of_nominal: float
    peak_bytes: int
    first_seconds: float
    off: float | None
    clock: dict[str, Any]


@dataclass(frozen=True)
class Lever:
    """What a change should give and gives: the rate after it for the rate before it."""

    name: str
    before: tuple[str, int]
    after: tuple[str, int]
    predicted: float
    source: str


def main(
    size: Annotated[Literal["full", "tiny"], typer.Option(help="full needs a card; tiny runs on a CPU")] = "full",
    budget_s: Annotated[float, typer.Option(min=1, help="no variant is begun after so many seconds")] = 3000.0,
    only: Annotated[str, typer.Option(help="variants to measure, with commas between; empty for all")] = "",
    full_compile: Annotated[bool, typer.Option(help="also compile all of the UNet, which takes long")] = False,
    end_to_end: Annotated[bool, typer.Option(help="also start the server and ask it by 32 clients")] = False,
    clients: Annotated[int, typer.Option(min=1)] = 32,
    out: Annotated[Path, typer.Option(help="folder for gpu.json and gpu.md")] = OUT,
) -> None:
    """Measure, print, and write JSON and Markdown."""
    began = time.monotonic()
    plan = FULL if size == "full" else TINY
    _prepare(plan)
    chosen = [each.strip() for each in only.split(",") if each.strip()]
    variants = [each for each in variants_of(plan, full_compile) if not chosen or each.name in chosen]
    unknown = set(chosen) - {each.name for each in variants}
    if unknown:
        raise typer.BadParameter(f"no variant is called {', '.join(sorted(unknown))}", param_hint="--only")
    work = gpu_work.count(plan.size, plan.side, plan.side)
    told = _told(plan, work)
    left = lambda: budget_s - (time.monotonic() - began)  # noqa: E731
    rows, skipped = list[Row](), list[str]()
    for row in measured(plan, variants, work, told["ceilings"], left, skipped):
        rows.append(row)
        progress.print(
            f"{row.variant}, batch {row.batch}: {row.images_per_hour:,.0f}/h, {row.of_measured:.0%} of the ceiling"
        )
    if all(row.off is None for row in rows):
        skipped.append("whether pictures are the stock pipeline's: it was not among the variants")
    served = None
    if end_to_end:
        try:
            served = _end_to_end(plan, rows, clients, left, skipped)
        except (gpu_server.ServerDidNotStart, GpuError) as error:
            skipped.append(f"end to end: {error}")
    levers = compared(levers_of(plan, work), rows)
    result = told | {"rows": [asdict(row) for row in rows], "levers": levers, "end_to_end": served, "skipped": skipped}
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (out / "gpu.md").write_text(page)
    print(page)
    differing = [
        row for row in rows if row.off is not None and row.off >= CLOSE and _has_to_be_same(variants, row, plan)
    ]
    for row in differing:
        progress.print(
            f"[bold red]{row.variant}[/bold red], batch {row.batch}: {row.off} off the stock pipeline's picture"
        )
    raise typer.Exit(1 if differing else 0)


def variants_of(plan: Plan, full_compile: bool) -> list[Variant]:
    """All that is measured, in the order in which a short budget spends it best."""
    largest = plan.batches[-2]
    plain = EngineOptions(device=plan.device, dtype=plan.dtype, max_batch=plan.batches[-1], compile="off")
    regional = replace(plain, compile="regional", batch_sizes=plan.batches)
    one, some, all_sizes = (1,), (largest,), plan.batches
    is_full = plan.size == "full"
    half = [Variant("stock fp16", "stock", "float16", one, plan.steps)] if is_full else []
    name = "bf16" if plan.dtype == "bfloat16" else "fp32"
    few = {"guidance": 1.0, "sampler": "euler_trailing"}
    found = [
        *half,
        Variant(f"stock {name}", "stock", plan.dtype, (1, largest), plan.steps, exact=True),
        Variant("engine", "engine", plan.dtype, (1, largest), plan.steps, options=plain, exact=True),
        Variant("compiled", "engine", plan.dtype, all_sizes, plan.steps, options=regional, exact=True),
        Variant("overlapped", "overlapped", plan.dtype, some, plan.steps, options=regional),
        Variant("guided 60 %", "engine", plan.dtype, some, plan.steps, guided=(0.0, 0.6), options=regional),
        Variant("8 steps", "engine", plan.dtype, (1, largest), 8, options=regional, **few),
        Variant("4 steps", "engine", plan.dtype, (1, largest), 4, options=regional, **few),
    ]
    cudnn = replace(regional, attention="cudnn")
    eight = replace(regional, fp8=True)
    found.append(Variant("fp8", "engine", plan.dtype, (1, largest), plan.steps, options=eight))
    if is_full:
        found.append(Variant("cudnn attention", "engine", plan.dtype, some, plan.steps, options=cudnn))
    if full_compile:
        whole = replace(regional, compile="full")
        found.append(Variant("compiled whole", "engine", plan.dtype, some, plan.steps, options=whole, exact=True))
    return found


def levers_of(plan: Plan, work: Work) -> list[Lever]:
    """What each change should give. Counted: by operations alone. Published: by others, on other cards. Else a guess."""
    largest = plan.batches[-2]
    name = "bf16" if plan.dtype == "bfloat16" else "fp32"
    whole = work.of_picture(plan.steps, plan.steps)
    part = work.of_picture(plan.steps, round(0.6 * plan.steps))
    stock, eager, compiled = f"stock {name}", "engine", "compiled"
    return [
        Lever("channels last, fused projections, remembered prompts", (stock, 1), (eager, 1), 1.05, "guess"),
        Lever("compiled blocks", (eager, 1), (compiled, 1), 1.30, "published, A100: 3.31 to 2.54 s"),
        Lever(f"batches of {largest}", (compiled, 1), (compiled, largest), 1.40, "guess"),
        Lever("decoding beside the next batch", (compiled, largest), ("overlapped", largest), 1.02, "guess"),
        Lever(
            "fp8 linear layers",
            (compiled, largest),
            ("fp8", largest),
            work.fp8_gain(plan.steps, plan.steps),
            "counted, at most",
        ),
        Lever("cuDNN's attention", (compiled, largest), ("cudnn attention", largest), 1.03, "guess"),
        Lever(
            "guidance in the first 60 % of steps",
            (compiled, largest),
            ("guided 60 %", largest),
            whole / part,
            "counted",
        ),
        Lever(
            "8 steps without guidance",
            (compiled, largest),
            ("8 steps", largest),
            whole / work.of_picture(8, 0),
            "counted",
        ),
        Lever(
            "4 steps without guidance",
            (compiled, largest),
            ("4 steps", largest),
            whole / work.of_picture(4, 0),
            "counted",
        ),
        Lever("all of it, of the stock pipeline", (stock, 1), (compiled, largest), 1.9, "product of the guesses"),
    ]


def compared(levers: Sequence[Lever], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each lever beside what was measured, as far as both of its ends were."""
    rates = {(row.variant, row.batch): row.images_per_hour for row in rows}
    return [
        asdict(lever) | {"measured": rates[lever.after] / rates[lever.before]}
        for lever in levers
        if lever.before in rates and lever.after in rates
    ]


def measured(
    plan: Plan,
    variants: Sequence[Variant],
    work: Work,
    ceilings: dict[str, float],
    left: Callable[[], float],
    skipped: list[str],
) -> Iterator[Row]:
    """The rows of all variants. Variants of equal options share an engine, so what is compiled is compiled once."""
    reference: dict[int, Any] = {}
    engine: tuple[EngineOptions, Engine] | None = None
    for variant in variants:
        if left() <= 0:
            skipped.append(f"{variant.name}: the budget was spent")
            continue
        if variant.options.fp8 and (reason := fp8.why_not(_device(plan))):
            skipped.append(f"{variant.name}: {reason}")
            continue
        try:
            if variant.kind == "stock":
                engine = None
                painter = _Stock(plan, variant, _built(plan, variant))
            else:
                if engine is None or engine[0] != variant.options:
                    engine = None  # before the next is built: both together need not fit
                    engine = (variant.options, Engine.of_pipeline(_built(plan, variant), variant.options, "sdxl"))
                painter = _Ours(plan, variant, engine[1])
            ceiling = ceilings["fp8" if variant.options.fp8 else variant.dtype]
            for batch in variant.batches:
                if left() <= 0:
                    skipped.append(f"{variant.name}, batch {batch}: the budget was spent")
                    continue
                yield _row(plan, variant, batch, painter, work, ceiling, reference)
        except Exception as error:
            # One that cannot run on this card leaves the others their figures.
            skipped.append(f"{variant.name}: {type(error).__name__}: {error}")
            engine = None


class _Stock:
    """Diffusers' pipeline, prompts to pixels."""

    def __init__(self, plan: Plan, variant: Variant, pipeline: Any) -> None:
        self._plan, self._variant, self._pipeline = plan, variant, pipeline

    def paint(self, batch: int) -> int:
        self._ask(batch, "np")
        return batch

    def latents(self, batch: int) -> Any:
        return self._ask(batch, "latent")

    def _ask(self, batch: int, kind: str) -> Any:
        return self._pipeline(
            [PROMPT] * batch,
            negative_prompt=[NEGATIVE] * batch,
            width=self._plan.side,
            height=self._plan.side,
            num_inference_steps=self._variant.steps,
            guidance_scale=self._variant.guidance,
            latents=self._noise(batch),
            output_type=kind,
        ).images

    def _noise(self, batch: int) -> Any:
        """The engine's, which is drawn in float32 whatever the model's type."""
        import torch

        unet = self._pipeline.unet
        shape = (unet.config.in_channels, self._plan.side // 8, self._plan.side // 8)
        drawn = [torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed)) for seed in range(batch)]
        return torch.cat(drawn).to(unet.device, unet.dtype)


class _Ours:
    """The engine: a batch painted and decoded, or several whose decoding runs beside the next one's painting."""

    def __init__(self, plan: Plan, variant: Variant, engine: Engine) -> None:
        self._plan, self._variant, self._engine = plan, variant, engine

    def paint(self, batch: int) -> int:
        if self._variant.kind == "overlapped":
            with ThreadPoolExecutor(1) as decoder:
                waiting = [decoder.submit(self._engine.decode, self._painted(batch)) for _ in range(OVERLAPPED_BATCHES)]
                return sum(len(each.result()) for each in waiting)
        return len(self._engine.decode(self._painted(batch)))

    def latents(self, batch: int) -> Any:
        return self._painted(batch).values

    def _painted(self, batch: int) -> Any:
        return self._engine.paint(
            [
                Job(
                    PROMPT,
                    seed,
                    NEGATIVE,
                    width=self._plan.side,
                    height=self._plan.side,
                    steps=self._variant.steps,
                    guidance=self._variant.guidance,
                    sampler=self._variant.sampler,
                    guided=self._variant.guided,
                )
                for seed in range(batch)
            ]
        )


def _row(
    plan: Plan, variant: Variant, batch: int, painter: Any, work: Work, ceiling: float, reference: dict[int, Any]
) -> Row:
    """Painted once apart, then three times: the median. Compiling and choosing kernels fall on the first."""
    began = time.perf_counter()
    latents = painter.latents(batch).float().cpu()
    painter.paint(batch)
    synchronise(plan.device)
    first = time.perf_counter() - began
    _forget_peak(plan)
    seconds: list[float] = []
    images = 0
    with gpu_card.clock(plan.device) as clock:
        for _ in range(REPEATS):
            synchronise(plan.device)
            began = time.perf_counter()
            images = painter.paint(batch)
            synchronise(plan.device)
            seconds.append(time.perf_counter() - began)
    taken = median(seconds)
    tflop = work.of_picture(variant.steps, variant.guided_steps)
    return Row(
        variant=variant.name,
        batch=batch,
        seconds=taken,
        images_per_hour=images / taken * 3600,
        tflop=tflop,
        tflops=tflop * images / taken,
        of_measured=tflop * images / taken / ceiling,
        of_nominal=tflop * images / taken / NOMINAL_TFLOPS,
        peak_bytes=_peak(plan),
        first_seconds=first,
        off=_off(variant, latents, reference),
        clock=asdict(clock),
    )


def _off(variant: Variant, latents: Any, reference: dict[int, Any]) -> float | None:
    """How far from the stock pipeline of the engine's own type; None where another picture is meant to come out."""
    if variant.kind == "stock" and variant.dtype != "float16":
        for index, each in enumerate(latents):
            reference.setdefault(index, each)
    known = [index for index in range(len(latents)) if index in reference]
    if not known or variant.sampler != "euler" or variant.guided != (0.0, 1.0):
        return None
    ours = [latents[index] for index in known]
    theirs = [reference[index] for index in known]
    difference = sum(float(((one - other) ** 2).mean()) for one, other in zip(ours, theirs, strict=True))
    return math.sqrt(difference / sum(float((other**2).mean()) for other in theirs))


def _has_to_be_same(variants: Sequence[Variant], row: Row, plan: Plan) -> bool:
    return plan.dtype == "float32" and any(each.exact for each in variants if each.name == row.variant)


def _prepare(plan: Plan) -> None:
    import torch
    from diffusers.utils import logging

    if plan.device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter(
            "there is no CUDA card here; give --size tiny to run it on the CPU", param_hint="--size"
        )
    if plan.device == "cpu":
        torch.set_num_threads(1)
    logging.set_verbosity_error()


def _built(plan: Plan, variant: Variant) -> Any:
    import torch

    _empty(plan)
    return build(plan.size, plan.device, getattr(torch, variant.dtype))


def _empty(plan: Plan) -> None:
    import torch

    gc.collect()
    torch._dynamo.reset()
    if plan.device == "cuda":
        torch.cuda.empty_cache()


def _device(plan: Plan) -> Any:
    import torch

    return torch.device(plan.device)


def _forget_peak(plan: Plan) -> None:
    import torch

    if plan.device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak(plan: Plan) -> int:
    """On a card the most that was allocated since; on a CPU the most that the process ever had."""
    if plan.device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    import resource

    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _told(plan: Plan, work: Work) -> dict[str, Any]:
    """The date, the machine, the work in a picture and the ceilings."""
    import torch

    ceilings = {plan.dtype: gpu_work.measured_tflops(plan.device, getattr(torch, plan.dtype))}
    if plan.device == "cuda":
        ceilings["float16"] = gpu_work.measured_tflops(plan.device, torch.float16)
        if fp8.why_not(_device(plan)) is None:
            ceilings["fp8"] = gpu_work.measured_fp8_tflops(plan.device)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": asdict(plan),
        "machine": gpu_card.machine(plan.device),
        "work_tflop": asdict(work) | {"picture": work.of_picture(plan.steps, plan.steps)},
        "ceilings": ceilings,
    }


def _end_to_end(
    plan: Plan, rows: Sequence[Row], clients: int, left: Callable[[], float], skipped: list[str]
) -> dict[str, Any] | None:
    """The server's rate, and its share of the compiled engine's in batches of the same size."""
    largest = plan.batches[-2]
    if left() <= 0:
        skipped.append("end to end: the budget was spent")
        return None
    _empty(plan)
    compiled = "regional" if plan.size == "full" else "off"
    options = ["--device", plan.device, "--compile", compiled, "--max-batch", str(largest)]
    options += ["--warm-up", f"{plan.side}x{plan.side}"]
    if plan.device == "cpu":
        options += ["--threads", "1"]
    engine = "compiled" if plan.size == "full" else "engine"
    rate = next((row.images_per_hour for row in rows if (row.variant, row.batch) == (engine, largest)), None)
    with tempfile.TemporaryDirectory() as folder:
        _save(plan, Path(folder))
        with gpu_server.server(Path(folder), max(left(), 60.0), *options) as url:
            warm = (url, clients, clients, plan.side, plan.side, plan.steps, GUIDANCE)
            gpu_server.drive(*warm)
            with gpu_card.clock(plan.device) as clock:
                served = gpu_server.drive(
                    url, clients, plan.end_to_end_images, plan.side, plan.side, plan.steps, GUIDANCE
                )
    return asdict(served) | {
        "images_per_hour": served.images_per_hour,
        "engine": engine,
        "engine_images_per_hour": rate,
        "share": served.images_per_hour / rate if rate else None,
        "clock": asdict(clock),
    }


def _save(plan: Plan, folder: Path) -> None:
    import torch

    pipeline = build(plan.size, "cpu", getattr(torch, plan.dtype))
    pipeline.save_pretrained(folder)


if __name__ == "__main__":
    typer.run(main)
