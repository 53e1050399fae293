"""Arrays whose items must differ, followed beside the parser.

No context-free grammar says that items differ. The items of the arrays that a grammar marks
(`ir.DISTINCT`, `ir.SCARCE`) are kept with the state, and what would repeat one is masked, as soon
as nothing else could follow.
"""
