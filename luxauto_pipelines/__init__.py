"""Top floor: what runs: definitions, jobs, schedules, sensors and the command line."""

import warnings
from importlib.metadata import version

__version__ = version("luxauto")

# `backfill_policy` and checks on partitions are beta in this Dagster; a warning for each asset would drown all others.
warnings.filterwarnings("ignore", message=r".* is currently in beta, and may have breaking changes")
