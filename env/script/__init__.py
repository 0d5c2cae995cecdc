"""A person's own training script: recorded while it runs, lifted to a program, edited, run again."""
