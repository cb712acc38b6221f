"""What each notebook shows: one module per notebook, one function per section, a `Block` as the result.

A section takes results and says what follows from them; it computes no statistics of its own.
"""
