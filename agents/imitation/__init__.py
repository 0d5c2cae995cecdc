"""Imitation: a policy learns from a teacher who knows the good program behind each mutant."""
