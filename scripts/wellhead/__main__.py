"""`python -m wellhead`: the command line."""

from wellhead.cli import main

main()
