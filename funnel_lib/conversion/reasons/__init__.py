"""What goes with converting and with leaving: attributes, channels, touchpoints, what was done instead."""
