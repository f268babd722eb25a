"""How many trials and reads the search for a plan takes."""

GAIN_ROUNDS, FEEDBACK_ROUNDS, ROUNDS_OF_LARGE = 2, 3, 2
"""Rounds of gains at the reads of the plan before; and plans with rounding errors fed back, of the allocation without,
and of ones that know what feedback left before."""
TRIALS = 2**27
"""Weights x outlooks that a search may take: about a minute of a core. At least `LEAST_TRIALS` outlooks."""
LEAST_TRIALS, MOST_TRIALS = 4, 120
DRAWN_SHARE, LEAST_DRAWN = 0.1, 4
"""Share of the trials that are drawn for each way, if they are at least so many."""
DRAWN, TRIALS_BY_READS, READS_OF_TRIAL, ROUNDS_OF_START, LONGER = 11, 48, 4, 2, 6
"""Emphases that are drawn for each way; and by reads, for which forward passes are many: trials, reads of each, rounds
by which readout gains are balanced at the start, and times as many reads of the last ones."""
TRIALS_OF_A_WAY, TRIALS_OF_A_RATIO, READ_OF_A_RATIO = 24, 10, 12
"""Most trials of each way; and trials that do for each ratio between the emphases of two tensors, of each way, and by
reads."""
MOST_EXCHANGED = 6
"""Allocations that exchanges are made from."""
LOST, LOST_OF_MEDIUM = 0.5, 0.1
"""Expected error, over the power of the outputs, above which every network is searched by reads: what it has would be
of no use; and above which one of middle size is, which takes minutes."""
EVENED, STARTS_OF_LOST, TRIALS_OF_LOST, READS_OF_LOST = (0.0, 0.25, 0.5, 0.75, 1.0), 3, 40, 1
"""Shares by which emphasis is evened, the best of these, whose readout gains are balanced, and trials from there by
what is expected; of a large network that is lost as many again by reads, and reads of each. CREPE full with a reserve
to p = 0.1, in 0.4 cells: 20 trials find 94.6% of the pitches, 40 all."""
READS_OF_CHOICE = 48
"""Reads by which the last few plans are compared, and that tell whether one errs as is expected."""
AS_EXPECTED = 0.1
"""Share of the expected error by which what reads show may differ, for a plan not to be searched on by reads."""
BALANCED, MOST_OPERATIONS = 12, 2e12
"""Trials by reads whose readout gains are balanced, about; and floating-point operations of a search by reads: about
a minute of a core. SmallCNN takes 7e9, CREPE tiny 1.5e12."""
FEEDBACK_TRIALS, FEEDBACK_COMPARED, MOST_CHOSEN = 96, 3, 2**28
"""Trials with feedback; how many of their outcomes are measured on other samples than words hang on; and
errors of other weights that choosing all words once may take into account: CREPE tiny has 2**30."""
