"""Fetching from the systems' REST interfaces into raw files, which are then read like any other export."""
