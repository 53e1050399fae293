"""Random texts under random constraints, judged by other people's validators."""
