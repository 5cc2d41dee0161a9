"""What is in stock, what it should be, and what to order."""
