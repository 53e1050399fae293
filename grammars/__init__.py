"""What is allowed: grammars, their front-ends and the mask engine."""
