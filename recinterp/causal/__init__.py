"""Machine to network: the activations that hold a machine's variables, found by interventions."""
