"""What goes wrong with attribution and can be mended by who asked for it."""


class AttributionError(Exception):
    """Journeys or holdouts cannot be used; the message names what is wrong and what to do."""
