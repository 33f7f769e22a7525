"""The paying side of inference: clients that pay by themselves, within bounds that their owner sets."""
