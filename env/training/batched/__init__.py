"""Many trainings as one computation: programs that can share it are trained together."""
