"""Results as sentences, pictures and pages; runs that publish them."""
