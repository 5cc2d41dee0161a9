"""Speed, each time beside a reference that was measured in the same call: `python -m benchmarks.run`."""
