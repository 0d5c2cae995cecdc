"""The benchmark of "Repairing DNN Architecture: Are We There Yet?" (ICST 2023): subjects and published results."""
