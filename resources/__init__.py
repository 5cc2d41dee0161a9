"""Ground floor: everything that is reached, from the database to a vendor's API. Imports nothing from the floors above."""
