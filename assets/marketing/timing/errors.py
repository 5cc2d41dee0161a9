"""What goes wrong with sending times and can be mended by who set them."""


class TimingError(Exception):
    """A time to send cannot be told; the message names the setting and what to do."""
