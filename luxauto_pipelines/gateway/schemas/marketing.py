"""Campaigns and segments: what may be asked for, and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from luxauto_pipelines.gateway.schema_types import (
    Count,
    Fraction,
    Instant,
    Json,
    Line,
    Name,
    NonNegativeMoney,
    Prose,
    Strict,
)

CampaignType = Literal[
    "email", "sms", "social_media", "push_notification", "in_app", "retargeting", "influencer", "content_marketing"
]
ChannelName = Literal[
    "email", "sms", "facebook", "instagram", "tiktok", "push_notification", "google_ads", "pinterest", "whatsapp"
]
CampaignState = Literal["draft", "scheduled", "active", "paused", "completed", "cancelled"]
_SUM_TOLERANCE = 1e-6


def _whole_name(value: Any) -> Any:
    return "push_notification" if value == "push" else value


Channel = Annotated[
    ChannelName,
    BeforeValidator(_whole_name, json_schema_input_type=ChannelName | Literal["push"]),
    Field(description="`push` is short for push_notification."),
]


class Variant(Strict):
    """What one part of the audience is shown."""

    name: Name
    subject_line: Line | None = None
    headline: Line | None = None
    body_content: Prose | None = None
    call_to_action: Line | None = None
    creative_assets: list[Line] = Field(default_factory=list, max_length=50)
    traffic_allocation: Fraction | None = Field(None, description="Share of the audience; all of them sum to 1.")


class CampaignRequest(Strict):
    """A campaign, as a draft. The first variant is the control."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Spring Collection Launch",
                    "campaign_type": "email",
                    "channels": ["email", "instagram", "tiktok"],
                    "target_segments": ["vip_customers", "engaged_subscribers"],
                    "enable_testing": True,
                    "variants": [
                        {"name": "Variant A - Elegant", "headline": "Elegance Redefined", "traffic_allocation": 0.5},
                        {"name": "Variant B - Bold", "headline": "Bold. Beautiful. You.", "traffic_allocation": 0.5},
                    ],
                    "budget": 5000.00,
                    "target_conversions": 500,
                }
            ]
        }
    )

    name: Name
    description: Prose | None = None
    campaign_type: CampaignType = "email"
    channels: list[Channel] = Field(default_factory=list, max_length=20)
    target_segments: list[Name] = Field(default_factory=list, max_length=100, description="Ids or names.")
    enable_testing: bool = False
    variants: list[Variant] = Field(default_factory=list, max_length=20)
    budget: NonNegativeMoney | None = None
    target_conversions: Count | None = None
    scheduled_start: Instant | None = None
    scheduled_end: Instant | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "CampaignRequest":
        shares = [variant.traffic_allocation for variant in self.variants]
        told = [share for share in shares if share is not None]
        if told and (len(told) < len(shares) or abs(sum(told) - 1) > _SUM_TOLERANCE):
            raise PydanticCustomError(
                "allocation", "variants: every traffic_allocation must be given, and they must sum to 1"
            )
        if len({variant.name for variant in self.variants}) < len(self.variants):
            raise PydanticCustomError("variant", "variants: two have the same name")
        if self.scheduled_start and self.scheduled_end and self.scheduled_end <= self.scheduled_start:
            raise PydanticCustomError("schedule", "scheduled_end must be after scheduled_start")
        return self


class CampaignCreated(BaseModel):
    success: bool
    campaign_id: str
    name: str
    type: CampaignType
    status: Literal["draft"]
    channels: list[ChannelName]
    enable_testing: bool
    variants_count: int
    created_at: datetime


class Distribution(BaseModel):
    """What a channel did; it may say more."""

    model_config = ConfigDict(extra="allow")

    success: bool
    sent: int
    delivered: int | None
    error: str | None


class CampaignLaunched(BaseModel):
    success: bool
    campaign_id: str
    status: CampaignState
    estimated_reach: int | None
    channels: list[ChannelName]
    distribution_results: dict[str, Distribution]
    launched_at: datetime


class Metrics(BaseModel):
    total_sent: int
    total_delivered: int
    total_opens: int
    total_clicks: int
    total_conversions: int
    total_revenue: float
    roi_percentage: float | None
    cost_per_acquisition: float | None


class PerformanceSummary(BaseModel):
    delivery_rate: float | None
    open_rate: float | None
    click_rate: float | None
    conversion_rate: float | None


class FinancialSummary(BaseModel):
    budget: float | None
    cost: float | None
    revenue: float
    roi_percentage: float | None
    cost_per_acquisition: float | None


class VariantResult(BaseModel):
    variant_name: str
    is_control: bool
    is_winner: bool
    confidence_level: float | None
    conversion_rate: float | None
    revenue_generated: float


class CampaignReport(BaseModel):
    campaign_id: str
    campaign_name: str
    campaign_type: CampaignType
    duration: str | None
    performance_summary: PerformanceSummary
    financial_summary: FinancialSummary
    ab_test_results: list[VariantResult]


class CampaignCompleted(BaseModel):
    success: bool
    campaign_id: str
    status: Literal["completed"]
    final_metrics: Metrics
    report: CampaignReport
    completed_at: datetime


class Criteria(Strict):
    """Whom a segment holds."""

    demographics: Json | None = None
    behavior: Json | None = None
    purchase_history: Json | None = None
    engagement: Json | None = None
    lifecycle_stage: Json | Name | list[Name] | None = None
    vip_status: Json | Name | bool | None = None


class SegmentRequest(Strict):
    """A segment; its customers are counted, never taken from the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "vip_customers", "criteria": {"purchase_history": {"min_total_spent": 5000}}}]
        }
    )

    name: Name
    description: Prose | None = None
    criteria: Criteria = Criteria()
    filters: Json = Field(default_factory=dict)


class SegmentCreated(BaseModel):
    success: bool
    segment_id: str
    name: str
    customer_count: int
    created_at: datetime


class CampaignCounts(BaseModel):
    total_campaigns: int = 0
    active_campaigns: int = 0
    status_breakdown: dict[str, int] = {}


class SegmentCounts(BaseModel):
    total_segments: int = 0
    total_customers: int = 0


class MarketingPerformance(BaseModel):
    total_sent: int = 0
    total_conversions: int = 0
    avg_conversion_rate: float | None = None


class Integration(BaseModel):
    provider: str
    enabled: bool


class MarketingState(BaseModel):
    agent_name: str
    version: str
    campaigns: CampaignCounts = CampaignCounts()
    segments: SegmentCounts = SegmentCounts()
    performance: MarketingPerformance = MarketingPerformance()
    channel_integrations: dict[str, Integration] = {}
    reason: str | None = Field(None, description="Why it is not available.")


class MarketingStatus(BaseModel):
    available: bool
    status: MarketingState
