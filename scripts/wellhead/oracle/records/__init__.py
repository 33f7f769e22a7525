"""Records: every round's, for one node or a million, kept on disk, served with their proofs and fetched from peers."""
