"""How to explore: searches over branches (arrive with reward-guided search)."""
