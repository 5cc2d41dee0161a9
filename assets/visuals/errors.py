"""What goes wrong with pictures and can be mended by who asked for them."""


class VisualsError(Exception):
    """A picture cannot be made, read or judged; the message names what is wrong and what to do."""
