"""The agents: hands that change the outside world, one module an agent. Workflows and the gateway call their methods."""
