"""What goes wrong with segments and can be mended by who wrote the rule or gave the data."""


class SegmentError(Exception):
    """A rule cannot be understood, or features cannot be computed; the message names the place and what to do."""
