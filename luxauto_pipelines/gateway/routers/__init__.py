"""The routes, one module an area. Each has a `router`; `gateway/app.py` lists them."""
