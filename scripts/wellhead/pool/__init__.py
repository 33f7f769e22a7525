"""Keeping a pool: whoever brings the evidence to the chain and the money to the members. Anyone may."""
