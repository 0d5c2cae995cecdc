"""``netmend report``: one page, or files for a paper, from the repairs that runs keep."""
