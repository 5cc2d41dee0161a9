"""How noise becomes a picture: for each sampler, the numbers of its steps.

Every sampler here is linear: the next latents are a sum of the present ones, of the picture that the model expects
(x0), of the picture that it expected a step ago, and of fresh noise. So a sampler is a table of factors made once on
the host, the loop is one formula for all, and an image can leave a batch by dropping its rows. The tables follow
diffusers' schedulers of the same names, and the tests hold the pictures against theirs.

Belongs here: schedules and factors. Does not belong here: tensors of pictures.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

FEW_STEP = ("euler_trailing", "lcm")


@dataclass(frozen=True)
class Factors:
    """One step: the model is shown `scale` × latents at `timestep`; x0 = `x0_latents` × latents + `x0_output` × its
    answer; the next latents = `latents` × latents + `x0` × x0 + `x0_before` × the x0 of the step before + `noise` ×
    noise.

    `clean` and `dirty` give latents at this step's level of noise: `clean` × a picture's + `dirty` × noise.
    """

    timestep: float
    scale: float
    x0_latents: float
    x0_output: float
    latents: float
    x0: float
    clean: float
    dirty: float
    x0_before: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """All steps of one sampler, and the deviation of the noise that they begin with."""

    steps: tuple[Factors, ...]
    initial_noise: float

    @property
    def draws_noise(self) -> bool:
        return any(step.noise for step in self.steps)

    def after(self, strength: float) -> "Schedule":
        """The last part of the steps, as many as `strength` says; at least one."""
        kept = min(int(len(self.steps) * strength), len(self.steps))
        first, *others = self.steps[len(self.steps) - kept :]
        # What was expected a step ago is known only after the first step, so that one is of first order.
        return Schedule((first_order(first), *others), self.initial_noise)


def first_order(step: Factors) -> Factors:
    """The step without the one before it: both of its factors on x0."""
    return replace(step, x0=step.x0 + step.x0_before, x0_before=0.0)


def schedule(name: str, steps: int, config: Mapping[str, Any]) -> Schedule:
    """The steps of a sampler for a model whose scheduler has `config`. Raises KeyError for a sampler that is not there."""
    return SAMPLERS[name](steps, dict(config))


def _euler(steps: int, config: dict[str, Any], spacing: str | None = None) -> Schedule:
    scheduler = _scheduler("EulerDiscreteScheduler", config, **({"timestep_spacing": spacing} if spacing else {}))
    scheduler.set_timesteps(steps)
    sigmas = [float(sigma) for sigma in scheduler.sigmas]
    rows = []
    for timestep, sigma, after in zip(scheduler.timesteps.tolist(), sigmas, sigmas[1:], strict=False):
        rows.append(_exploding(timestep, sigma, after / sigma, scheduler.config["prediction_type"]))
    return Schedule(tuple(rows), float(scheduler.init_noise_sigma))


def _euler_trailing(steps: int, config: dict[str, Any]) -> Schedule:
    return _euler(steps, config, "trailing")


def _euler_ancestral(steps: int, config: dict[str, Any]) -> Schedule:
    scheduler = _scheduler("EulerAncestralDiscreteScheduler", config)
    scheduler.set_timesteps(steps)
    sigmas = [float(sigma) for sigma in scheduler.sigmas]
    rows = []
    for timestep, sigma, after in zip(scheduler.timesteps.tolist(), sigmas, sigmas[1:], strict=False):
        up = math.sqrt(after**2 * (sigma**2 - after**2) / sigma**2)
        down = math.sqrt(after**2 - up**2)
        rows.append(_exploding(timestep, sigma, down / sigma, scheduler.config["prediction_type"], noise=up))
    return Schedule(tuple(rows), float(scheduler.init_noise_sigma))


def _exploding(timestep: float, sigma: float, kept: float, prediction: str, noise: float = 0.0) -> Factors:
    """A step whose latents are picture + sigma × noise, of which the part `kept` of the noise stays."""
    if prediction == "epsilon":
        x0_latents, x0_output = 1.0, -sigma
    elif prediction == "v_prediction":
        x0_latents, x0_output = 1.0 / (sigma**2 + 1.0), -sigma / math.sqrt(sigma**2 + 1.0)
    else:
        x0_latents, x0_output = 0.0, 1.0
    return Factors(
        timestep=timestep,
        scale=1.0 / math.sqrt(sigma**2 + 1.0),
        x0_latents=x0_latents,
        x0_output=x0_output,
        latents=kept,
        x0=1.0 - kept,
        clean=1.0,
        dirty=sigma,
        noise=noise,
    )


def _dpmpp_2m(steps: int, config: dict[str, Any]) -> Schedule:
    """DPM-Solver++(2M), midpoint (Lu and others, 2022, https://arxiv.org/abs/2211.01095), with Karras' sigmas."""
    scheduler = _scheduler("DPMSolverMultistepScheduler", config, use_karras_sigmas=True)
    scheduler.set_timesteps(steps)
    levels = [_alpha_sigma(float(sigma)) for sigma in scheduler.sigmas]
    rows: list[Factors] = []
    for index, timestep in enumerate(scheduler.timesteps.tolist()):
        (alpha, sigma), (alpha_after, sigma_after) = levels[index], levels[index + 1]
        # exp(-h) of the step in log signal-to-noise; the last one goes to no noise at all.
        shrunk = (sigma_after / alpha_after) / (sigma / alpha)
        pull = alpha_after * (1.0 - shrunk)
        x0, before = pull, 0.0
        if 0 < index < steps - 1:
            h = -math.log(shrunk)
            h_before = math.log((levels[index - 1][1] / levels[index - 1][0]) / (sigma / alpha))
            slope = 0.5 * pull * h / h_before
            x0, before = pull + slope, -slope
        x0_latents, x0_output = _preserving_x0(alpha, sigma, scheduler.config["prediction_type"])
        rows.append(
            Factors(
                timestep=float(timestep),
                scale=1.0,
                x0_latents=x0_latents,
                x0_output=x0_output,
                latents=sigma_after / sigma,
                x0=x0,
                x0_before=before,
                clean=alpha,
                dirty=sigma,
            )
        )
    return Schedule(tuple(rows), 1.0)


def _alpha_sigma(sigma: float) -> tuple[float, float]:
    alpha = 1.0 / math.sqrt(sigma**2 + 1.0)
    return alpha, sigma * alpha


def _lcm(steps: int, config: dict[str, Any]) -> Schedule:
    """Latent consistency (Luo and others, 2023, https://arxiv.org/abs/2310.04378): jump to the picture, then noise it
    again.
    """
    scheduler = _scheduler("LCMScheduler", config)
    scheduler.set_timesteps(steps)
    timesteps = [int(timestep) for timestep in scheduler.timesteps]
    kept = [float(scheduler.alphas_cumprod[timestep]) for timestep in timesteps]
    rows = []
    for index, timestep in enumerate(timesteps):
        skip, out = (float(each) for each in scheduler.get_scalings_for_boundary_condition_discrete(timestep))
        alpha, sigma = math.sqrt(kept[index]), math.sqrt(1.0 - kept[index])
        is_last = index == len(timesteps) - 1
        alpha_after, noise = (1.0, 0.0) if is_last else (math.sqrt(kept[index + 1]), math.sqrt(1.0 - kept[index + 1]))
        x0_latents, x0_output = _preserving_x0(alpha, sigma, scheduler.config["prediction_type"])
        rows.append(
            Factors(
                timestep=float(timestep),
                scale=1.0,
                x0_latents=x0_latents,
                x0_output=x0_output,
                latents=alpha_after * skip,
                x0=alpha_after * out,
                noise=noise,
                clean=alpha,
                dirty=sigma,
            )
        )
    return Schedule(tuple(rows), 1.0)


def _preserving_x0(alpha: float, sigma: float, prediction: str) -> tuple[float, float]:
    """Factors of x0 where latents are alpha × picture + sigma × noise with alpha² + sigma² = 1."""
    if prediction == "epsilon":
        return 1.0 / alpha, -sigma / alpha
    if prediction == "v_prediction":
        return alpha, -sigma
    return 0.0, 1.0


def _scheduler(name: str, config: dict[str, Any], **other: Any) -> Any:
    """Diffusers' scheduler of that name, whose sigmas and timesteps are used."""
    import diffusers

    made: Any = getattr(diffusers, name)
    return made.from_config(config, **other)


SAMPLERS: Mapping[str, Callable[[int, dict[str, Any]], Schedule]] = {
    "euler": _euler,
    "euler_ancestral": _euler_ancestral,
    "dpmpp_2m": _dpmpp_2m,
    "euler_trailing": _euler_trailing,
    "lcm": _lcm,
}
