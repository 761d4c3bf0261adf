"""Selectors side by side: one pool, equal budgets in tokens, the same measures."""
