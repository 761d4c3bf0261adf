"""Bandits over clusters: arms, what is known of them, and the rules by which one is pulled and its rows are taken."""
