"""How far people go: journeys from events or snapshots, rates with their uncertainty, times, and change."""
