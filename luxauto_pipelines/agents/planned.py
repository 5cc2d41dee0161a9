"""Agents of the drawing that are not built yet. Each stands here until its own module takes its place."""

from luxauto_pipelines.agents.registry import Agent, AgentUnavailable, Call, FreeParameters, Method
from resources.store.brand_store import BrandStore


def _planned(name: str, what: str, methods: tuple[str, ...]) -> Agent:
    reason = f"{what} is not built yet"

    def refuse(call: Call, parameters: FreeParameters) -> dict[str, object]:
        raise AgentUnavailable(f"the agent {name} is not available: {reason}")

    def status(books: BrandStore) -> dict[str, object]:
        return {"agent_name": name, "version": "0", "reason": reason}

    return Agent(name, "0", {method: Method(refuse) for method in methods}, status, unavailable=reason)


AGENTS = (
    _planned(
        "marketing",
        "campaign orchestration",
        (
            "create_campaign",
            "create_segment",
            "launch_campaign",
            "complete_campaign",
            "cancel_campaign",
            "write_product_description",
        ),
    ),
    _planned("code_development", "code generation and recovery", ("generate", "recover", "discard")),
    _planned("web_development", "website building", ("build_website", "delete_website")),
)
