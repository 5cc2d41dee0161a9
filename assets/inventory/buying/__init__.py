"""How much to buy, and when: policies of replenishment, and the one order of a season."""
