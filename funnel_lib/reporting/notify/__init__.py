"""Telling people what a run did: one digest, in the form of each service, delivered for certain or said not to be."""
