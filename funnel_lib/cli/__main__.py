"""`python -m funnel_lib.cli`."""

from funnel_lib.cli import main

if __name__ == "__main__":
    main()
