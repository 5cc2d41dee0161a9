"""The REST gateway: FastAPI under /api/v1/luxury-automation."""
