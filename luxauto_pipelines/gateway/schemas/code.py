"""Code: what may be asked for, and what is answered."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from luxauto_pipelines.gateway.schema_types import Line, Name, Prompt, Strict

Language = Literal["python", "javascript", "typescript", "java", "go", "rust", "php", "ruby", "sql", "css", "html"]
Model = Literal["cursor", "claude", "gpt-4", "codex"]
RecoveryType = Literal["git_history", "backup_restore", "version_control", "cloud_sync", "reconstruction"]
CommitHash = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{4,64}$")]


class CodeRequest(Strict):
    """A piece of code that is wanted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "description": "Create a Python function to calculate luxury tax on high-value items",
                    "language": "python",
                    "requirements": ["Handle multiple tax jurisdictions", "Support tiered tax rates"],
                    "include_tests": True,
                    "include_docs": True,
                    "model": "claude",
                }
            ]
        }
    )

    description: Prompt
    language: Language = "python"
    framework: Name | None = None
    requirements: list[Prompt] = Field(default_factory=list, max_length=100)
    include_tests: bool = True
    include_docs: bool = True
    model: Model = "cursor"


class Issue(BaseModel):
    type: str
    message: str
    severity: str


class CodeGenerated(BaseModel):
    success: bool
    request_id: str
    code: str | None
    file_path: str | None
    language: Language
    quality_score: float | None
    complexity_score: float | None
    issues_found: list[Issue]
    suggestions: list[str]
    generation_time: float = Field(description="Seconds.")
    model_used: str | None
    error: str | None


class RecoveryRequest(Strict):
    """What was lost, and where it may still be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recovery_type": "git_history",
                    "repository_url": "https://git.example/atelier.git",
                    "file_path": "src/",
                }
            ]
        }
    )

    recovery_type: RecoveryType = "git_history"
    repository_url: Line | None = None
    file_path: Line | None = None
    branch: Name = "main"
    commit_hash: CommitHash | None = None


class RecoveredFile(BaseModel):
    path: str
    lines: int
    source: str


class CodeRecovered(BaseModel):
    success: bool
    request_id: str
    files_recovered: int
    total_lines: int
    strategy_used: str | None
    integrity_verified: bool
    recovery_time: float = Field(description="Seconds.")
    error: str | None
    files: list[RecoveredFile]


class CodePerformance(BaseModel):
    generation_count: int = 0
    recovery_count: int = 0
    scraping_count: int = 0


class CodeClient(BaseModel):
    available: bool


class Thresholds(BaseModel):
    """Null where none is set."""

    complexity: float | None = None
    maintainability: float | None = None
    test_coverage: float | None = None


class CodeState(BaseModel):
    agent_name: str
    version: str
    performance: CodePerformance = CodePerformance()
    ai_clients: dict[str, CodeClient] = {}
    workspace_directory: str | None = None
    recovery_directory: str | None = None
    quality_thresholds: Thresholds = Thresholds()
    reason: str | None = Field(None, description="Why it is not available.")


class CodeStatus(BaseModel):
    available: bool
    status: CodeState
