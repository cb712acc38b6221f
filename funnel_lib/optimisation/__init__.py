"""What was changed, what it did, and what that is worth."""
