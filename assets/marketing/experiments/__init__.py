"""Experiments: who gets what, what it changed, how sure that is, and what is decided by it."""
