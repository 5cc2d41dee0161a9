"""The loop from noise to latents, for a batch of pictures.

Each picture has a random generator of its own, so it comes out the same alone and in any batch. Between two steps a
picture can be left out. On a card one step is always under way while the next is prepared, and no more than one, so
that cancelling takes hold.

Belongs here: rows, steps and guidance. Does not belong here: where words and pictures come from.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import Any

from resources.gpu.loading import Model
from resources.gpu.samplers import Factors, Schedule


@dataclass
class Rows:
    """What each row of a batch has of its own, along the first dimension. None where it is not used.

    `negative_*` are for guidance. `mask` (n, 1, h, w) is 1 where the picture may change, `kept` the latents of the
    picture that is kept elsewhere, `noise` the noise it is given; `shown` (n, 5, h, w) is what a UNet that was made for
    inpainting sees besides.
    """

    latents: Any
    tokens: Any
    pooled: Any
    time_ids: Any
    guidance: Any
    negative_tokens: Any = None
    negative_pooled: Any = None
    mask: Any = None
    kept: Any = None
    noise: Any = None
    shown: Any = None
    condition: Any = None
    before: Any = None

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows alone, in this order."""
        import torch

        wanted = torch.tensor(list(rows), device=self.latents.device)
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                setattr(self, each.name, value.index_select(0, wanted))


@dataclass(frozen=True)
class Step:
    """One of the `of` steps is done. `expected` are the latents that each picture is heading for, by job."""

    number: int
    of: int
    expected: dict[int, Any] = field(repr=False)
    _preview: Callable[[Any], bytes] = field(repr=False)

    def preview(self, index: int) -> bytes | None:
        """A small WebP of what the job `index` is heading for, computed now; None where it was cancelled. From any
        thread.
        """
        return self._preview(self.expected[index]) if index in self.expected else None


@dataclass
class Loop:
    """How a batch is run: `jobs` says which job a row is (None for a row that only fills the batch up)."""

    model: Model
    schedule: Schedule
    jobs: list[int | None]
    generators: dict[int, Any]
    guided: range
    size_for: Callable[[int], int]
    on_step: Callable[[Step], None] | None
    is_cancelled: Callable[[int], bool] | None
    preview: Callable[[Any], bytes]
    attention: Callable[[], AbstractContextManager[Any]]

    def run(self, rows: Rows) -> Any:
        """The latents of the rows that are left (n, 4, h, w, float32); `jobs` says which they are. None where all were
        cancelled.
        """
        pace = _Pace(self.model.device)
        timesteps = _timesteps(self.schedule, self.model.device)
        for number, step in enumerate(self.schedule.steps):
            if not self._drop_cancelled(rows):
                return None
            answer = self._predict(rows, step, timesteps[number], number in self.guided)
            expected = step.x0_latents * rows.latents + step.x0_output * answer
            rows.latents = self._advanced(rows, step, expected)
            rows.before = expected
            self._keep_unmasked(rows, number)
            pace.wait_for_the_step_before()
            self._tell(number, expected)
        return (
            rows.latents.index_select(0, _indices(self._living(), rows.latents)) if self._drop_cancelled(rows) else None
        )

    def _living(self) -> list[int]:
        return [row for row, job in enumerate(self.jobs) if job is not None]

    def _drop_cancelled(self, rows: Rows) -> bool:
        """Leave out what was cancelled; whether any is left. A compiled batch shrinks only to a size that is compiled."""
        if self.is_cancelled is None:
            return True
        self.jobs = [None if job is None or self.is_cancelled(job) else job for job in self.jobs]
        living = self._living()
        if not living:
            return False
        size = self.size_for(len(living))
        if size < len(self.jobs):
            fillers = [row for row, job in enumerate(self.jobs) if job is None]
            chosen = (living + fillers)[:size]
            rows.select(chosen)
            self.jobs = [self.jobs[row] for row in chosen]
        return True

    def _predict(self, rows: Rows, step: Factors, timestep: Any, guided: bool) -> Any:
        """The model's answer, guided where asked, in float32."""
        import torch

        shown = rows.latents * step.scale
        if rows.shown is not None:
            shown = torch.cat([shown, rows.shown], dim=1)
        shown, tokens, pooled, time_ids = shown.to(self.model.dtype), rows.tokens, rows.pooled, rows.time_ids
        if guided:
            shown, time_ids = torch.cat([shown, shown]), torch.cat([time_ids, time_ids])
            tokens = torch.cat([rows.negative_tokens, tokens])
            pooled = torch.cat([rows.negative_pooled, pooled])
        if self.model.channels_last:
            shown = shown.contiguous(memory_format=torch.channels_last)
        with self.attention():
            answer = self.model.predict(
                shown,
                timestep.repeat(shown.shape[0]),
                encoder_hidden_states=tokens,
                timestep_cond=rows.condition,
                added_cond_kwargs={"text_embeds": pooled, "time_ids": time_ids},
                return_dict=False,
            )[0].float()
        if not guided:
            return answer
        negative, positive = answer.chunk(2)
        return negative + rows.guidance * (positive - negative)

    def _advanced(self, rows: Rows, step: Factors, expected: Any) -> Any:
        latents = step.latents * rows.latents + step.x0 * expected
        if step.x0_before:
            latents = latents + step.x0_before * rows.before
        if step.noise:
            latents = latents + step.noise * self._fresh_noise(latents)
        return latents

    def _fresh_noise(self, latents: Any) -> Any:
        import torch

        shape = latents.shape[1:]
        drawn = [
            torch.zeros(shape)
            if job is None
            else torch.randn(shape, generator=self.generators[job], dtype=torch.float32)
            for job in self.jobs
        ]
        return torch.stack(drawn).to(latents.device)

    def _keep_unmasked(self, rows: Rows, number: int) -> None:
        """Outside the mask: the given picture, at the noise of the next step, and at the end without any."""
        if rows.mask is None or rows.kept is None:
            return
        kept = rows.kept
        if number + 1 < len(self.schedule.steps):
            after = self.schedule.steps[number + 1]
            kept = after.clean * kept + after.dirty * rows.noise
        rows.latents = (1 - rows.mask) * kept + rows.mask * rows.latents

    def _tell(self, number: int, expected: Any) -> None:
        if self.on_step is None:
            return
        by_job = {job: expected[row] for row, job in enumerate(self.jobs) if job is not None}
        self.on_step(Step(number + 1, len(self.schedule.steps), by_job, self.preview))


class _Pace:
    """Holds the host back to one step ahead of the card."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._before: Any = None

    def wait_for_the_step_before(self) -> None:
        if self._device.type != "cuda":
            return
        import torch

        done = torch.cuda.Event()
        done.record()
        if self._before is not None:
            self._before.synchronize()
        self._before = done


def _timesteps(schedule: Schedule, device: Any) -> Any:
    import torch

    return torch.tensor([step.timestep for step in schedule.steps], dtype=torch.float32, device=device).unsqueeze(1)


def _indices(rows: list[int], like: Any) -> Any:
    import torch

    return torch.tensor(rows, device=like.device)
