"""Code: generate, recover, status."""

from luxauto_pipelines.gateway.agent_calls import ask, call_of, state_of_agent
from luxauto_pipelines.gateway.dependencies import Books, Caller, EffectKey, requires
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schemas.code import (
    CodeGenerated,
    CodeRecovered,
    CodeRequest,
    CodeState,
    CodeStatus,
    RecoveryRequest,
)

AGENT = "code_development"
router = make_router("/code", "Code")


@router.post("/generate", dependencies=[requires("code:write")])
def generate(wanted: CodeRequest, books: Books, caller: Caller, key: EffectKey) -> CodeGenerated:
    """Generate code, judged before it is handed out."""
    return CodeGenerated.model_validate(ask(AGENT, "generate", call_of(books, caller, key), wanted))


@router.post("/recover", dependencies=[requires("code:write")])
def recover(wanted: RecoveryRequest, books: Books, caller: Caller, key: EffectKey) -> CodeRecovered:
    """Recover files that were lost."""
    return CodeRecovered.model_validate(ask(AGENT, "recover", call_of(books, caller, key), wanted))


@router.get("/status", dependencies=[requires("status:read")])
def status(books: Books) -> CodeStatus:
    """Models and what they did."""
    available, state = state_of_agent(AGENT, books)
    return CodeStatus(available=available, status=CodeState.model_validate(state))
