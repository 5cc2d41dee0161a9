"""Statements of processors, marketplaces and banks: read into frames of one shape, matched with orders and with each other."""
