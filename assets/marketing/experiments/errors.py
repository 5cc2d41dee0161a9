"""What goes wrong with experiments and can be mended by who asked for them."""


class ExperimentError(Exception):
    """An experiment cannot be drawn, analysed or decided; the message names what is wrong and what to do."""
