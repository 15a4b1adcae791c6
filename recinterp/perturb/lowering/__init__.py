"""From a plan of interventions to tensors written at hook points."""
