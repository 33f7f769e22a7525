"""Outbox: transactions of one account, written down before they are sent and followed until they count."""
