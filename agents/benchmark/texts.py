"""What the report of the benchmark says around its tables."""

from netmend.env.bugs.killing import FEWEST_SEEDS

BUDGET = 20
"""The budget of the study whose columns stand beside ours, in trainings of the faulty program."""
INTRODUCTION = """In brackets: 95 % bootstrap interval over bugs. IR: improvement rate, (found - faulty) /
(fix - faulty) on the hold-out part, at least 0."""
SKILLS = """Mean ± standard deviation over seeds; what is worse than the faulty program's mean counts as
that mean. Faulty and fix: as measured with the suite, or over the seeds here where it was not. Starred:
better than the faulty program with the same seeds, one-sided Wilcoxon signed-rank test, p < 0.05."""
FEW_SEEDS = f"""With fewer than {FEWEST_SEEDS} seeds no p is below 0.05."""
PUBLISHED = f"""Behind: the published figures at a budget of {BUDGET} times the faulty program's training
time; accuracy, or a loss of which less is better (D7, U1 to U8). Their data are others and their trainings
longer: the improvement rates below are what can be compared."""
RATES = """In brackets: A12, the probability that a found program is better than a faulty one (ties by
half)."""
WORK = """In multiples of the work that one trial of the published fix takes. A repair that ends earlier, or
has spent its trials, counts with what it found."""
PATCHES = """Complexity: share of the tuned values that the patch changes. Shared kinds: share of the
published fix's kinds of change that the patch has too. Where nothing was found, nothing is changed and both
are 0."""
COSTS = """Seconds of choosing one program (median, mean) and all of them; trial seconds: of training them,
when they were trained. Work in millions of multiply-accumulates."""
MEANS = """Published mean / median IR over the same faults, in brackets the number of faults with a result;
budgets are multiples of the faulty program's training time."""
