"""From somebody's export to rows that the store can take: mappings, presets, classification, quarantine. Pure."""
