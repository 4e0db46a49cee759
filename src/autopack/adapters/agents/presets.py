"""The agents that are known by name: a table of what each needs to be pointed at a door and left alone.

In commands, variables and files ``$url`` is the door, ``$token`` the key it wants, ``$model`` the model, ``$home`` the
agent's own home folder, ``$prompt`` the task. What is ``sandboxed`` or ``bare`` applies only in or outside a sandbox:
an agent's own sandbox does not work inside ours, and is better than nothing where there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One agent."""

    name: str
    provider: str = "openai"
    acp: tuple[str, ...] = ()
    """The command that speaks ACP; empty when there is none."""
    headless: tuple[str, ...] = ()
    """The command that does one task and ends; empty when there is none."""
    reads_stdin: bool = False
    """Whether the headless command takes the task from stdin."""
    needs_model: bool = False
    model_flags: tuple[str, ...] = ()
    """Added to either command when a model is named."""
    sandboxed_flags: tuple[str, ...] = ()
    """Added to the headless command inside a sandbox."""
    bare_flags: tuple[str, ...] = ()
    """Added to the headless command outside one."""
    env: Mapping[str, str] = field(default_factory=dict)
    sandboxed_env: Mapping[str, str] = field(default_factory=dict)
    model_env: Mapping[str, str] = field(default_factory=dict)
    """Set when a model is named."""
    files: Mapping[str, str] = field(default_factory=dict)
    """By path below the home folder."""
    auth_method: str = ""
    """What ACP's ``authenticate`` is called with; empty when it is not."""
    sandboxed_mode: str = ""
    """The session mode to ask for inside a sandbox, where the agent offers it."""
    bare_mode: str = ""


_OPENCODE = """{
  "$$schema": "https://opencode.ai/config.json",
  "autoupdate": false, "share": "disabled", "snapshot": false,
  "model": "autopack/$model", "small_model": "autopack/$model",
  "enabled_providers": ["autopack"],
  "permission": {"edit": "allow", "bash": "allow", "webfetch": "deny"},
  "provider": {"autopack": {
    "npm": "@ai-sdk/openai-compatible", "name": "Autopack",
    "options": {"baseURL": "$url/v1", "apiKey": "$token"},
    "models": {"$model": {"name": "$model", "tool_call": true, "limit": {"context": 200000, "output": 32000}}}
  }}
}
"""
_CODEX = """model_provider = "autopack"
check_for_update_on_startup = false
$codex_model
[model_providers.autopack]
name = "Autopack"
base_url = "$url/v1"
wire_api = "responses"
env_key = "AUTOPACK_DOOR_TOKEN"
request_max_retries = 2
stream_max_retries = 2

[analytics]
enabled = false
"""
_GEMINI = """{
  "privacy": {"usageStatisticsEnabled": false},
  "telemetry": {"enabled": false},
  "general": {"disableAutoUpdate": true, "disableUpdateNag": true, "enableAutoUpdate": false},
  "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": false}},
  "ide": {"enabled": false}
}
"""
_QWEN = """{
  "privacy": {"usageStatisticsEnabled": false},
  "general": {"disableAutoUpdate": true, "enableAutoUpdate": false},
  "security": {"auth": {"selectedType": "openai"}}
}
"""
_VIBE = """active_model = "autopack"
enable_telemetry = false
enable_update_checks = false

[[providers]]
name = "autopack"
api_base = "$url/v1"
api_key_env_var = "AUTOPACK_DOOR_TOKEN"
api_style = "openai"
backend = "generic"

[[models]]
name = "$model"
alias = "autopack"
provider = "autopack"
"""
_PI_MODELS = """{"providers": {"autopack": {
  "baseUrl": "$url/v1", "api": "openai-completions", "apiKey": "$token", "models": [{"id": "$model"}]
}}}
"""
_PI_SETTINGS = """{"defaultProvider": "autopack", "defaultModel": "$model"}
"""
_GIT_USER = """[user]
	name = Autopack
	email = autopack@localhost
"""
_OPENAI = {"OPENAI_API_KEY": "$token", "OPENAI_BASE_URL": "$url/v1", "OPENAI_API_BASE": "$url/v1"}
_ANTHROPIC = {"ANTHROPIC_API_KEY": "$token", "ANTHROPIC_BASE_URL": "$url"}
_GOOGLE = {"GEMINI_API_KEY": "$token", "GOOGLE_GEMINI_BASE_URL": "$url"}
_LITELLM = {**_OPENAI, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

EVERY_DOOR = {**_OPENAI, **_ANTHROPIC, **_GOOGLE}
"""What an agent without a preset finds: most read one of these."""

_TABLE = (
    Preset(
        name="opencode",
        acp=("opencode", "acp"),
        headless=("opencode", "run", "--format", "json", "--auto"),
        reads_stdin=True,
        needs_model=True,
        env={
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        },
        files={".config/opencode/opencode.json": _OPENCODE},
    ),
    Preset(
        name="claude",
        provider="anthropic",
        acp=("claude-agent-acp",),
        headless=("claude", "-p", "--bare", "--output-format", "stream-json", "--verbose"),
        reads_stdin=True,
        sandboxed_flags=("--permission-mode", "bypassPermissions"),
        bare_flags=("--permission-mode", "acceptEdits"),
        env={**_ANTHROPIC, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"},
        sandboxed_env={"IS_SANDBOX": "1"},
        model_env={"ANTHROPIC_MODEL": "$model", "ANTHROPIC_SMALL_FAST_MODEL": "$model"},
        sandboxed_mode="bypassPermissions",
        bare_mode="acceptEdits",
    ),
    Preset(
        name="codex",
        acp=("codex-acp",),
        headless=("codex", "exec", "--json", "--skip-git-repo-check"),
        reads_stdin=True,
        sandboxed_flags=("-s", "danger-full-access"),
        bare_flags=("-s", "workspace-write"),
        # Codex puts no helper programs into a home below the folder for temporary files, and then runs no command.
        env={"CODEX_HOME": "$home/.codex", "AUTOPACK_DOOR_TOKEN": "$token"},
        files={".codex/config.toml": _CODEX},
        sandboxed_mode="agent-full-access",
        bare_mode="agent",
    ),
    Preset(
        name="gemini",
        provider="gemini",
        acp=("gemini", "--acp", "--skip-trust"),
        headless=("gemini", "--skip-trust", "-o", "json", "-p", ""),
        reads_stdin=True,
        model_flags=("--model", "$model"),
        sandboxed_flags=("--approval-mode", "yolo"),
        bare_flags=("--approval-mode", "auto_edit"),
        env=_GOOGLE,
        files={".gemini/settings.json": _GEMINI},
        auth_method="gemini-api-key",
        sandboxed_mode="yolo",
        bare_mode="autoEdit",
    ),
    Preset(
        name="qwen",
        acp=("qwen", "--acp", "--auth-type", "openai"),
        headless=("qwen", "--auth-type", "openai", "-o", "json", "-p", ""),
        reads_stdin=True,
        needs_model=True,
        sandboxed_flags=("--approval-mode", "yolo"),
        bare_flags=("--approval-mode", "auto-edit"),
        env=_OPENAI,
        model_env={"OPENAI_MODEL": "$model"},
        files={".qwen/settings.json": _QWEN},
        auth_method="openai",
        sandboxed_mode="yolo",
        bare_mode="auto-edit",
    ),
    Preset(
        name="copilot",
        acp=("copilot", "--acp"),
        headless=("copilot", "-p", "$prompt", "--allow-all-tools", "--output-format", "json"),
        needs_model=True,
        env={
            "COPILOT_OFFLINE": "true",
            "COPILOT_PROVIDER_BASE_URL": "$url/v1",
            "COPILOT_PROVIDER_API_KEY": "$token",
        },
        model_env={"COPILOT_MODEL": "$model"},
    ),
    Preset(
        name="vibe",
        provider="mistral",
        acp=("vibe-acp",),
        headless=(
            "vibe",
            "-p",
            "$prompt",
            "--output",
            "json",
            "--auto-approve",
            "--trust",
            "--output-dir",
            "$home/out",
        ),
        needs_model=True,
        env={"AUTOPACK_DOOR_TOKEN": "$token"},
        files={".vibe/config.toml": _VIBE},
    ),
    Preset(
        name="aider",
        headless=(
            *("aider", "--yes-always", "--no-auto-commits", "--no-stream", "--no-check-update"),
            *("--analytics-disable", "--no-gitignore", "--no-show-model-warnings", "--message", "$prompt"),
            # Its map of the repository leaves a cache in the worktree, where it passes for a part of the change.
            *("--map-tokens", "0"),
            *("--input-history-file", "$home/aider.input", "--chat-history-file", "$home/aider.chat"),
        ),
        needs_model=True,
        model_flags=("--model", "openai/$model"),
        env=_LITELLM,
        # Where git knows no user aider writes one into the repository's configuration, which it must not, and ends.
        files={".gitconfig": _GIT_USER},
    ),
    Preset(
        name="pi",
        headless=("pi", "-p", "--mode", "json", "$prompt"),
        needs_model=True,
        env={"PI_OFFLINE": "1"},
        files={".pi/agent/models.json": _PI_MODELS, ".pi/agent/settings.json": _PI_SETTINGS},
    ),
    Preset(
        name="mini",
        headless=("mini", "-y", "--exit-immediately", "-t", "$prompt", "-o", "$home/out.json"),
        needs_model=True,
        model_flags=("-m", "openai/$model"),
        env={
            **_LITELLM,
            "MSWEA_CONFIGURED": "true",
            "MSWEA_COST_TRACKING": "ignore_errors",
            # Ten times, with minutes in between, is its own choice, whatever the provider said.
            "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "4",
        },
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _TABLE}
