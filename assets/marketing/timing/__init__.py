"""When to write to a customer: quiet hours, the best hour, how often, and when to stop."""
