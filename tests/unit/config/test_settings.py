from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.errors import ConfigError

Load = Callable[..., Settings]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".config" / "codetether-agent").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def user_file(home: Path) -> Path:
    return home / ".config" / "codetether-agent" / "config.toml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git root with a folder below it."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "a" / "b").mkdir(parents=True)
    return root


@pytest.fixture
def load(home: Path, project: Path) -> Load:
    def run(cwd: Path = project, **env: str) -> Settings:
        return load_settings(cwd, {"HOME": str(home), **env})

    return run


def _origin(settings: Settings, key: str) -> str:
    return next(s.origin for s in settings.listing if s.key == key)


def test_without_files_the_defaults_hold(load: Load) -> None:
    settings = load()
    assert settings.default_model is None
    assert settings.swarm.max_subagents == 100
    assert settings.agent.max_steps == 50
    assert settings.agent.retry_for_s == 300.0
    assert {s.origin for s in settings.listing} == {"default"}


def test_nearer_files_win_and_the_environment_wins_over_all(
    load: Load, user_file: Path, project: Path
) -> None:
    user_file.write_text('default_model = "a/user"\n[swarm]\nmax_steps = 1\nmax_depth = 1\n')
    (project / "codetether.toml").write_text('default_model = "a/root"\nswarm.max_depth = 2\n')
    (project / ".codetether").mkdir()
    (project / ".codetether" / "config.toml").write_text("swarm.max_subagents = 7\n")
    (project / "a" / "codetether.toml").write_text('default_model = "a/near"\n')
    assert load().default_model == "a/root"
    settings = load(project / "a" / "b")
    assert settings.default_model == "a/near"
    assert (settings.swarm.max_steps, settings.swarm.max_depth) == (1, 2)
    assert settings.swarm.max_subagents == 7
    assert _origin(settings, "swarm.max_steps") == str(user_file)
    assert _origin(settings, "default_model") == str(project / "a" / "codetether.toml")


def test_the_environments_model_counts_where_no_file_names_one(
    load: Load, user_file: Path, project: Path
) -> None:
    settings = load(project, CODETETHER_DEFAULT_MODEL="a/env")
    assert settings.default_model == "a/env"
    assert _origin(settings, "default_model") == "CODETETHER_DEFAULT_MODEL"
    user_file.write_text('default_provider = "zai"\n')
    settings = load(project, CODETETHER_DEFAULT_MODEL="a/env")
    assert (settings.default_model, settings.default_provider) == (None, "zai")


def test_files_above_the_git_root_are_not_read(load: Load, project: Path) -> None:
    (project.parent / "codetether.toml").write_text("swarm.max_steps = 1\n")
    assert load(project / "a").swarm.max_steps == 100


def test_outside_git_only_this_directory_counts(load: Load, tmp_path: Path) -> None:
    (tmp_path / "plain" / "x").mkdir(parents=True)
    (tmp_path / "plain" / "codetether.toml").write_text("swarm.max_steps = 1\n")
    assert load(tmp_path / "plain").swarm.max_steps == 1
    assert load(tmp_path / "plain" / "x").swarm.max_steps == 100


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ('[default]\nprovider = "anthropic"\nmodel = "claude-x"\n', "anthropic/claude-x"),
        ('[default]\nprovider = "openrouter"\nmodel = "openai/gpt"\n', "openrouter/openai/gpt"),
        ('[default]\nmodel = "anthropic/claude-x"\n', "anthropic/claude-x"),
        ('[default]\nprovider = "a"\nmodel = "a/b"\n', "a/b"),
        ('default_provider = "p"\n[default]\nmodel = "m"\n', "p/m"),
        ('[default]\nprovider = "anthropic"\n', None),
    ],
)
def test_the_seeds_form_of_a_default_model_is_read(
    load: Load, user_file: Path, text: str, model: str | None
) -> None:
    user_file.write_text(text)
    assert load().default_model == model


def test_the_seeds_whole_file_is_accepted(load: Load, user_file: Path) -> None:
    user_file.write_text(
        '[default]\nprovider = "anthropic"\nmodel = "claude-sonnet-4-20250514"\n'
        '[ui]\ntheme = "marketing" # dark, light\n[session]\nauto_save = true\n'
    )
    assert load().default_model == "anthropic/claude-sonnet-4-20250514"


def test_a_nearer_provider_alone_means_its_own_default_model(
    load: Load, user_file: Path, project: Path
) -> None:
    user_file.write_text('default_model = "openai/gpt"\n')
    (project / "codetether.toml").write_text('[default]\nprovider = "zai"\n')
    settings = load()
    assert (settings.default_model, settings.default_provider) == (None, "zai")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("swarm.max_subagent = 3", "did you mean `swarm.max_subagents`"),
        ("[swarm]\nmax-steps = 3", "did you mean `swarm.max_steps`"),
        ("[workspaces]\nsetup = 'x'", "did you mean `workspace.setup`"),
        ("max_steps = 3", "max_steps`"),
        ("zzz = 1", "config show"),
        ("providers.zai.url = 'x'", "did you mean `providers.zai.base_url`"),
        ("providers.local.window = 1", "did you mean `providers.local.context_window`"),
        ("providers.local.context_window = 10", "at least 1024"),
        ("swarm.max_steps = '3'", "`swarm.max_steps` must be a whole number of at least 1"),
        ("swarm.max_steps = true", "whole number"),
        ("swarm.max_steps = 0", "whole number"),
        ("workspace.hooks = 'yes'", "true or false"),
        ("workspace.copy = '.env'", "list of texts"),
        ("workspace.copy = [1]", "list of texts"),
        ("agent.retry_for = 'soon'", "duration"),
        ("swarm.memory = '200 bananas'", "size"),
        ("swarm.strategy = 'best'", 'one of "auto"'),
        ("default_model = 'gpt'", "PROVIDER/MODEL"),
        ("providers.zai.base_url = 'x'", "address"),
        ("providers.zai.base_url = 'http://u:p@h/'", "user or password"),
        ("swarm = 3", "there is no setting `swarm`"),
        ("default_model = 'a/b'\n[default]\nmodel = 'a/c'", "remove one of them"),
        ("session.auto_save = false", "every run is journaled"),
        ("this is not", "is not TOML"),
        ("a = '\udce9'", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_key_and_remedy(
    load: Load, user_file: Path, text: str, words: str
) -> None:
    user_file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load()
    assert words in str(caught.value)
    assert str(user_file) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("[providers.openai]\napi_key = 'hidden-value'", "hidden-value"),
        ("providers.openai.token = 'hidden-value'", "hidden-value"),
        ("password = 'hidden-value'", "hidden-value"),
        ("workspace.setup = 'curl -H sk-ant-REDACTED-0123456789abcdef'", "0123456789abcdef"),
        ("workspace.copy = ['sk-ant-REDACTED-0123456789abcdef']", "0123456789abcdef"),
    ],
)
def test_a_secret_in_a_file_is_refused_without_being_shown(
    load: Load, user_file: Path, text: str, secret: str
) -> None:
    user_file.write_text(text)
    with pytest.raises(ConfigError, match="codetether auth set") as caught:
        load()
    assert secret not in str(caught.value)
    if "openai" in text:
        assert "auth set openai" in str(caught.value)


def test_a_project_may_not_say_where_keys_are_sent(
    load: Load, user_file: Path, project: Path
) -> None:
    line = 'providers.anthropic.base_url = "https://example.test"\n'
    user_file.write_text(line)
    assert load().base_url("anthropic") == "https://example.test"
    (project / "codetether.toml").write_text(line)
    with pytest.raises(ConfigError, match="may not be set by a project"):
        load()


def test_the_local_servers_address_comes_from_its_variable(load: Load) -> None:
    settings = load(CODETETHER_LOCAL_BASE_URL="http://gpu:8000/v1")
    assert settings.base_url("local") == "http://gpu:8000/v1"
    assert settings.base_url("openai") is None
    with pytest.raises(ConfigError, match="CODETETHER_LOCAL_BASE_URL"):
        load(CODETETHER_LOCAL_BASE_URL="gpu:8000")


def test_the_window_of_a_local_servers_models_is_a_setting(load: Load, user_file: Path) -> None:
    user_file.write_text(
        "providers.local.context_window = 32768\nproviders.zai.base_url='http://z'\n"
    )
    settings = load()
    assert settings.context_windows == {"local": 32768}
    assert settings.base_urls == {"zai": "http://z"}


def test_durations_and_sizes_have_units(load: Load, user_file: Path) -> None:
    user_file.write_text(
        "agent.retry_for = '2m'\nagent.wait_quota = '1.5h'\nswarm.timeout = 90\n"
        "swarm.memory = '0.5GiB'\n"
    )
    settings = load()
    assert settings.agent.retry_for_s == 120.0
    assert settings.agent.wait_quota_s == 5400.0
    assert settings.swarm.timeout_s == 90.0
    assert settings.swarm.memory_bytes == 2**29


def test_workspace_settings_are_read(load: Load, project: Path) -> None:
    (project / "codetether.toml").write_text(
        '[workspace]\nsetup = "uv sync"\ncopy = [".env", ".venv"]\nhooks = true\n'
    )
    workspace = load().workspace
    assert (workspace.setup, workspace.copy, workspace.hooks) == (
        "uv sync",
        (".env", ".venv"),
        True,
    )


def test_the_archive_is_the_users_alone_and_the_environment_names_it_too(
    load: Load, user_file: Path, project: Path
) -> None:
    assert load().archive.bucket is None
    user_file.write_text('[archive]\nbucket = "mine"\nprefix = "a/b"\nretention = "30d"\n')
    archive = load().archive
    assert (archive.bucket, archive.prefix, archive.retention_s) == ("mine", "a/b/", 2_592_000.0)
    assert load(CODETETHER_S3_BUCKET="other").archive.bucket == "other"
    (project / "codetether.toml").write_text('archive.bucket = "theirs"\n')
    with pytest.raises(ConfigError, match="may not be set by a project"):
        load()
