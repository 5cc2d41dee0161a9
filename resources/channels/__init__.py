"""The places of sale that are reached by their own APIs: WooCommerce, Shopify, Amazon, eBay.

Belongs here: one connector a vendor over one transport, and the words that they share (`protocol`). Does not belong here: what
a quantity should be (`assets/inventory`), or the rows that remember what was read and written (`resources/store`).
"""
