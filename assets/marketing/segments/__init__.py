"""Segments: rules about customers, the features that they speak of, and who is in one."""
