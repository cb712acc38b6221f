"""What `make bench` measures: the engine's speed and memory, and whether the statistics keep their promises."""
