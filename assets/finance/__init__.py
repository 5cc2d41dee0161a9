"""Money: ledger, exchange rates, margins, fraud scores, and the executive report made of them."""
