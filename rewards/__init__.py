"""What is good: rewards (arrive with reward-guided search)."""
