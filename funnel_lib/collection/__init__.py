"""Raw exports in, canonical tables out: sources, cleaning, identity, the store and its quality."""
