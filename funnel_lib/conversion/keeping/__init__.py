"""Journeys on disk: written once, counted again without a rescan."""
