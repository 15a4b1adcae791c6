"""From a machine to another that does the same, or the same on reversed inputs."""
