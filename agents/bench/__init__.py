"""What netmend's parts cost here: the training engine, the environment, the store."""
