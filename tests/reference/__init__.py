"""Slow, plain versions of what qtaml computes fast, and the statistical checks that tests share."""
