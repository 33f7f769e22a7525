"""Where a reporter's knowledge of a node comes from: one small module each, and one kind of answer, a Finding."""
