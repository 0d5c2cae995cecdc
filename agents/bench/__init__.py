"""What netmend's parts cost here: the training engine, the store, the environment."""
