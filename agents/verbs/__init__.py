"""The words after ``netmend``: each with its configuration, its checks, and the call that does the work.

Nothing here imports torch, SciPy or Stable-Baselines3 before a configuration is known to make sense.
"""
