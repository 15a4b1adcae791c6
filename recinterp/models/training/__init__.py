"""Training: the recipe, batches, the loop, and how an interrupted run goes on."""
