"""What changed between periods, by how much, why and since when."""
