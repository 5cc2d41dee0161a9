"""Top floor: what runs: definitions, jobs, schedules, sensors and the command line."""
