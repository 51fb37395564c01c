"""EM: the loop, its restarts, its stopping rule and its callbacks."""
