"""The whole story on one local chain: a node becomes a token, sells shares, serves, is measured, and pays."""
