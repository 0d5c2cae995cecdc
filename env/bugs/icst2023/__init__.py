"""The benchmark of "Repairing DNN Architecture: Are We There Yet?" (ICST 2023) and its published results."""
