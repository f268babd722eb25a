"""What qtaml costs, each figure next to something timed in the same run: `make bench`."""
