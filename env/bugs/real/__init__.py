"""Real bugs: facts about them, and what makes bug files of the facts."""
