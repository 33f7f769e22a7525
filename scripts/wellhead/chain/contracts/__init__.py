"""One typed wrapper per contract. Reads return domain values; writes return a call for `Sender.send`."""
