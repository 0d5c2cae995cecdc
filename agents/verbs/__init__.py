"""The words after ``netmend``: each with its configuration, its checks, and the call that does the work.

Importing them imports no torch and no Stable-Baselines3: nobody waits seconds to hear of a typo.
"""
