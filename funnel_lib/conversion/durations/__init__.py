"""How long things take, for people who may still act: survival, cohorts, retention, outcomes."""
