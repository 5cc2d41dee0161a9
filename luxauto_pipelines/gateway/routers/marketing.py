"""Marketing: campaigns, segments, status."""

from luxauto_pipelines.gateway.agent_calls import ask, call_of, state_of_agent
from luxauto_pipelines.gateway.dependencies import Books, Caller, EffectKey, requires
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Key
from luxauto_pipelines.gateway.schemas.marketing import (
    CampaignCompleted,
    CampaignCreated,
    CampaignLaunched,
    CampaignRequest,
    MarketingState,
    MarketingStatus,
    SegmentCreated,
    SegmentRequest,
)

AGENT = "marketing"
router = make_router("/marketing", "Marketing")


@router.post("/campaigns/create", dependencies=[requires("marketing:write")])
def create_campaign(wanted: CampaignRequest, books: Books, caller: Caller, key: EffectKey) -> CampaignCreated:
    """Create a campaign as a draft."""
    return CampaignCreated.model_validate(ask(AGENT, "create_campaign", call_of(books, caller, key), wanted))


@router.post("/campaigns/{campaign_id}/launch", dependencies=[requires("marketing:write")])
def launch_campaign(campaign_id: Key, books: Books, caller: Caller, key: EffectKey) -> CampaignLaunched:
    """Send it. A campaign that is in no state to be launched is a 409."""
    wanted = {"campaign_id": campaign_id}
    return CampaignLaunched.model_validate(ask(AGENT, "launch_campaign", call_of(books, caller, key), wanted))


@router.post("/campaigns/{campaign_id}/complete", dependencies=[requires("marketing:write")])
def complete_campaign(campaign_id: Key, books: Books, caller: Caller, key: EffectKey) -> CampaignCompleted:
    """End it and report on it."""
    wanted = {"campaign_id": campaign_id}
    return CampaignCompleted.model_validate(ask(AGENT, "complete_campaign", call_of(books, caller, key), wanted))


@router.post("/segments/create", dependencies=[requires("marketing:write")])
def create_segment(wanted: SegmentRequest, books: Books, caller: Caller, key: EffectKey) -> SegmentCreated:
    """Define a segment; its customers are counted."""
    return SegmentCreated.model_validate(ask(AGENT, "create_segment", call_of(books, caller, key), wanted))


@router.get("/status", dependencies=[requires("status:read")])
def status(books: Books) -> MarketingStatus:
    """Campaigns, segments and channels."""
    available, state = state_of_agent(AGENT, books)
    return MarketingStatus(available=available, status=MarketingState.model_validate(state))
