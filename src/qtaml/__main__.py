"""`python -m qtaml` is the command `qtaml`."""

from qtaml.cli.main import main

main()
