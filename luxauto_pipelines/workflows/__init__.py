"""Workflows that undo themselves: what is to be done, how far it is, and what happens when it fails.

`spec` says what a workflow is, `templates` which ones are ready made. `control` is what people and programs call. `jobs` turns
a workflow into Dagster jobs whose steps are in `steps`; `runs` starts them; `reconciler` looks after all of them. What is
remembered is in `resources.store.journal`.
"""
