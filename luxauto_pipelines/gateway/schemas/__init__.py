"""Requests and answers of the gateway, one module an area."""
