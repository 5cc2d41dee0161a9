"""Our own GPU: one resident process that paints with SDXL, and those who ask it.

Begin at `client` for what can be asked, at `server` for the process, and at `engine` for how pictures are painted.
"""
