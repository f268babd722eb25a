"""Tests of qtaml; the folders mirror those of src/qtaml."""
