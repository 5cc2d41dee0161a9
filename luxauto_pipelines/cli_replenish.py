"""`luxauto replenish …`: what to buy, how much, and what a way of buying would have earned.

Belongs here: arguments and tables. Does not belong here: policies (`assets/inventory/buying`) and the replay of history
(`assets/inventory/simulation`).
"""

import typer

app = typer.Typer(help="Buy stock: try a policy on the past.", no_args_is_help=True)


@app.callback()
def _replenish() -> None:
    """Buy stock: try a policy on the past."""
