"""From events wherever they are to journeys: feeders bring rows, one kernel gives them their meaning."""
