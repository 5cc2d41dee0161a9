"""The engine: a resident SDXL model that paints batches of jobs.

Belongs here: what a server calls. Does not belong here: HTTP, queues, and which jobs share a batch.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from resources.gpu import loading, samplers
from resources.gpu.denoise import Loop, Rows, Step
from resources.gpu.jobs import InvalidJob, Job
from resources.gpu.loading import EngineOptions, EngineUnavailable, Model
from resources.gpu.lora import InvalidLora, Lora, Loras
from resources.gpu.pictures import Latents, Pictures, read_image, read_mask
from resources.gpu.prompts import Embedding, PromptCache, nothing_like

__all__ = ["Engine", "EngineOptions", "EngineUnavailable", "InvalidJob", "InvalidLora", "Job", "Latents", "Step"]


class Engine:
    """A model in memory. `paint` is for one thread at a time (a second one waits); `decode` may run beside it in
    another.

    `model` is the model's name, `max_batch` the most jobs of one `paint`, `samplers` the names a job can ask for,
    `few_step` those of them that are for models distilled to a few steps without guidance.
    """

    few_step = samplers.FEW_STEP

    def __init__(self, model: Model, options: EngineOptions, name: str) -> None:
        self.model = name
        self.options = options
        self.max_batch = options.max_batch
        self.samplers = tuple(samplers.SAMPLERS)
        self.loras = Loras(model)
        self.prompts = PromptCache(model, options.prompts_remembered)
        self._model = model
        self._pictures = Pictures(model)
        self._schedules: dict[tuple[str, int], samplers.Schedule] = {}
        self._painting = threading.Lock()

    @classmethod
    def load(cls, source: Path, options: EngineOptions | None = None) -> "Engine":
        """From a folder as diffusers' `save_pretrained` writes it; nothing is fetched. Raises EngineUnavailable."""
        options = options or EngineOptions()
        return cls.of_pipeline(loading.load_pipeline(Path(source), options), options, Path(source).resolve().name)

    @classmethod
    def of_pipeline(cls, pipeline: Any, options: EngineOptions, name: str) -> "Engine":
        """From a stock pipeline, whose parts become the engine's and are changed. Raises EngineUnavailable."""
        return cls(loading.prepare(pipeline, options), options, name)

    @property
    def device(self) -> str:
        return str(self._model.device)

    @property
    def dtype(self) -> str:
        return str(self._model.dtype).removeprefix("torch.")

    @property
    def compiled(self) -> str:
        """`off`, `regional` or `full`."""
        return self._model.compiled

    @property
    def _sees_masks(self) -> bool:
        """Whether the UNet was made for inpainting: then it is shown the mask and the picture without what it hides."""
        return self._model.unet.config.in_channels != self._model.vae.config.latent_channels

    def check(self, job: Job) -> None:
        """Raises InvalidJob for what this model cannot paint: an unknown sampler or LoRA, or steps that a sampler does
        not have.
        """
        if job.sampler not in self.samplers:
            raise InvalidJob("sampler", f"{job.sampler!r} is not known; give one of {', '.join(self.samplers)}")
        if job.lora is not None and job.lora not in self.loras:
            there = ", ".join(self.loras.names()) or "none"
            raise InvalidJob("lora", f"{job.lora!r} is not loaded; loaded: {there}")
        if self._sees_masks and job.mask is None:
            raise InvalidJob("mask", f"is needed: {self.model} only inpaints; give an image and a mask")
        try:
            self._schedule(job)
        except ValueError as error:
            raise InvalidJob("steps", f"of {job.steps} cannot be done by {job.sampler}: {error}") from error

    def paint(
        self,
        jobs: Sequence[Job],
        on_step: Callable[[Step], None] | None = None,
        is_cancelled: Callable[[int], bool] | None = None,
    ) -> Latents:
        """Jobs of one shape, from noise to latents. `on_step` is called after each step; `is_cancelled` is asked before
        each step for each job that is left, and a job that is leaves the batch. Raises InvalidJob, and ValueError for
        jobs that do not go together.
        """
        import torch

        with self._painting, torch.inference_mode():
            self._check_batch(jobs)
            first = jobs[0]
            self.loras.merge(first.lora, first.lora_scale)
            schedule = self._schedule(first)
            generators = {index: torch.Generator().manual_seed(job.seed) for index, job in enumerate(jobs)}
            size = self._size_for(len(jobs))
            rows = self._rows(jobs, schedule, generators, size)
            guides = first.is_guided and rows.condition is None
            loop = Loop(
                model=self._model,
                schedule=schedule,
                jobs=[*range(len(jobs)), *[None] * (size - len(jobs))],
                generators=generators,
                guided=_guided_steps(first, len(schedule.steps)) if guides else range(0),
                size_for=self._size_for,
                on_step=on_step,
                is_cancelled=is_cancelled,
                preview=self._pictures.preview,
                attention=self._attention,
            )
            values = loop.run(rows)
            if values is None:
                return Latents(None, (), len(jobs))
            return Latents(
                values, tuple(job for job in loop.jobs if job is not None), len(jobs), _now_on(self._model.device)
            )

    def decode(self, latents: Latents) -> list[np.ndarray | None]:
        """Each job's picture, uint8 (height, width, 3), None where it was cancelled. May run while the next batch is
        painted.
        """
        return self._pictures.decode(latents)

    def warm_up(
        self, shapes: Sequence[tuple[int, int]] = ((1024, 1024),), batches: Sequence[int] | None = None
    ) -> None:
        """Paint and decode pictures of these sizes (width, height) in each size of batch, with and without guidance, so
        that everything is compiled and chosen before the first request.
        """
        for width, height in shapes:
            for batch in batches or sorted({self._size_for(count) for count in range(1, self.max_batch + 1)}):
                for guidance in (1.0, 5.0):
                    jobs = [
                        Job("warm-up", seed, width=width, height=height, steps=2, guidance=guidance)
                        for seed in range(batch)
                    ]
                    latents = self.paint(jobs)
                self.decode(latents)
                self._pictures.preview(latents.values[0])

    def memory(self) -> dict[str, int]:
        """Bytes: of the weights, and on a card what is allocated, reserved, the most that was allocated, and the
        card's.
        """
        import torch

        parts = (self._model.unet, self._model.vae, *self._model.text_encoders)
        tensors = [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]
        used = {"weights": sum(tensor.numel() * tensor.element_size() for tensor in tensors)}
        if self._model.device.type == "cuda":
            used["allocated"] = torch.cuda.memory_allocated(self._model.device)
            used["reserved"] = torch.cuda.memory_reserved(self._model.device)
            used["peak"] = torch.cuda.max_memory_allocated(self._model.device)
            used["card"] = torch.cuda.get_device_properties(self._model.device).total_memory
        return used

    def load_lora(self, name: str, path: Path) -> Lora:
        """Load a LoRA by name, or replace the one of that name. Waits for a batch under way. Raises InvalidLora."""
        with self._painting:
            self.prompts.forget(name)
            return self.loras.load(name, path)

    def unload_lora(self, name: str) -> None:
        """Forget a LoRA and restore the weights. Waits for a batch under way. Raises KeyError where it is not loaded."""
        with self._painting:
            self.prompts.forget(name)
            self.loras.unload(name)

    def lora_names(self) -> list[str]:
        return self.loras.names()

    def _check_batch(self, jobs: Sequence[Job]) -> None:
        if not 1 <= len(jobs) <= self.max_batch:
            raise ValueError(f"a batch has 1 to {self.max_batch} jobs, not {len(jobs)}")
        if len({job.shape() for job in jobs}) > 1:
            raise ValueError("jobs of one batch have one shape; see Job.shape")
        for job in jobs:
            self.check(job)

    def _schedule(self, job: Job) -> samplers.Schedule:
        key = (job.sampler, job.steps)
        if key not in self._schedules:
            self._schedules[key] = samplers.schedule(*key, self._model.scheduler)
        whole = self._schedules[key]
        return whole if job.image is None else whole.after(job.strength)

    def _size_for(self, count: int) -> int:
        """Rows of a batch of `count` jobs: as many, or the next size that is compiled for."""
        if self._model.compiled == "off":
            return count
        return min((size for size in self.options.batch_sizes if size >= count), default=count)

    def _rows(self, jobs: Sequence[Job], schedule: samplers.Schedule, generators: dict[int, Any], size: int) -> Rows:
        import torch

        begun = [self._begin(job, schedule, generators[index]) for index, job in enumerate(jobs)]
        words = self._words(jobs)
        first = jobs[0]
        device, dtype = self._model.device, self._model.dtype
        time_ids = torch.tensor(
            [[first.height, first.width, 0, 0, first.height, first.width]], dtype=dtype, device=device
        )
        guidance = torch.tensor([job.guidance for job in jobs], dtype=torch.float32, device=device)
        rows = Rows(
            latents=torch.cat([each["latents"] for each in begun]),
            tokens=torch.cat([positive.tokens for positive, _ in words]),
            pooled=torch.cat([positive.pooled for positive, _ in words]),
            time_ids=time_ids.repeat(len(jobs), 1),
            guidance=guidance.view(-1, 1, 1, 1),
            condition=self._guidance_condition(guidance),
        )
        for name in ("mask", "kept", "noise", "shown"):
            if begun[0].get(name) is not None:
                setattr(rows, name, torch.cat([each[name] for each in begun]))
        if first.is_guided:
            rows.negative_tokens = torch.cat([negative.tokens for _, negative in words if negative])
            rows.negative_pooled = torch.cat([negative.pooled for _, negative in words if negative])
        if size > len(jobs):
            rows.select([*range(len(jobs)), *[len(jobs) - 1] * (size - len(jobs))])
        return rows

    def _begin(self, job: Job, schedule: samplers.Schedule, generator: Any) -> dict[str, Any]:
        """The latents that a job begins with, and for inpainting what is kept. Draws in the order of diffusers'
        pipelines.
        """
        import torch

        device, factor = self._model.device, self._model.scale_factor
        shape = (1, self._model.vae.config.latent_channels, job.height // factor, job.width // factor)

        def noise() -> Any:
            return torch.randn(shape, generator=generator, dtype=torch.float32).to(device)

        if job.image is None:
            return {"latents": noise() * schedule.initial_noise}
        pixels = read_image(job.image, job.width, job.height)
        is_new = job.mask is not None and job.strength == 1.0
        kept = None if self._sees_masks and is_new else self._pictures.encode(pixels, generator)
        drawn = noise()
        start = schedule.steps[0]
        latents = drawn * schedule.initial_noise
        if kept is not None and not is_new:
            latents = start.clean * kept + start.dirty * drawn
        if job.mask is None:
            return {"latents": latents}
        mask = read_mask(job.mask, job.width, job.height)
        small = torch.nn.functional.interpolate(mask, size=shape[-2:]).to(device)
        if self._sees_masks:
            hidden = self._pictures.encode(pixels * (mask < 0.5), generator)
            return {"latents": latents, "shown": torch.cat([small, hidden], dim=1)}
        return {"latents": latents, "mask": small, "kept": kept, "noise": drawn}

    def _words(self, jobs: Sequence[Job]) -> list[tuple[Embedding, Embedding | None]]:
        """Each job's prompt and, where it is guided, its negative."""
        lora = jobs[0].lora
        weights = (lora, jobs[0].lora_scale) if lora is not None and self.loras[lora].changes_text else None
        texts = [job.prompt for job in jobs]
        if jobs[0].is_guided:
            texts += [job.negative for job in jobs if job.negative or not self._model.zeros_for_no_negative]
        known = self.prompts.embeddings(texts, weights)
        nothing = nothing_like(known[jobs[0].prompt])
        if not jobs[0].is_guided:
            return [(known[job.prompt], None) for job in jobs]
        zeros = self._model.zeros_for_no_negative
        return [(known[job.prompt], known[job.negative] if job.negative or not zeros else nothing) for job in jobs]

    def _guidance_condition(self, guidance: Any) -> Any:
        """For models distilled with guidance as an input: its embedding. None for others."""
        from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

        size = self._model.unet.config.time_cond_proj_dim
        if size is None:
            return None
        # It is a plain function of its arguments.
        embed: Any = StableDiffusionXLPipeline.get_guidance_scale_embedding
        return embed(None, guidance - 1, embedding_dim=size).to(self._model.dtype)

    def _attention(self) -> AbstractContextManager[Any]:
        if self.options.attention == "auto" or self._model.device.type != "cuda":
            return nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        order = [
            SDPBackend.CUDNN_ATTENTION,
            SDPBackend.FLASH_ATTENTION,
            SDPBackend.EFFICIENT_ATTENTION,
            SDPBackend.MATH,
        ]
        return sdpa_kernel(order, set_priority=True)


def _guided_steps(job: Job, steps: int) -> range:
    first, last = job.guided
    return range(round(first * steps), round(last * steps))


def _now_on(device: Any) -> Any:
    if device.type != "cuda":
        return None
    import torch

    event = torch.cuda.Event()
    event.record()
    return event
