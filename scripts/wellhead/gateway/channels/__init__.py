"""Channels: what a payer deposited, signed and was charged; on the chain, in the books and at the counter."""
