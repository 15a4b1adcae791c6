"""The fast backend: a model in plain tensors, restarted where an edit first touches it."""
