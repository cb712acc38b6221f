"""What keeps published reports true over time: what is due, what moved and why, what is kept and what goes."""
