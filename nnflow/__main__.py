"""`python -m nnflow`."""

from nnflow.cli import main

main()
