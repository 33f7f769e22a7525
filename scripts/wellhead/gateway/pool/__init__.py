"""What a pool's gateway does for its members: it counts what each one's work was charged for, and signs for it."""
