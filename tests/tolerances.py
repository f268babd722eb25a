"""How closely two numbers have to agree, in one place."""

EXACT_MATHS = 1e-12
"""Relative error of closed forms and enumerations in float64: sums of some thousand terms, each rounded at 1e-16."""

ROUNDING = 1e-14
"""Absolute error of a handful of operations on values of about 1 in float64."""

FALSE_ALARM = 1e-4
"""Probability that one statistical check fails although the law is right, over all seeds; the seeds are fixed."""

LINE_SEARCH = 1e-6
"""Relative error of a minimum that a general numerical optimiser finds."""
