import contextlib
import fcntl
import io
import json
import os
import subprocess
import sys
import termios
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from codetether_ray.cli.main import run
from codetether_ray.testing.leaks import find_leaks

_KEY = "a-marked-key-0123456789"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def _give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_key_goes_from_stdin_into_the_store_and_out_again(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, cwd: Path
) -> None:
    _give(monkeypatch, f"{_KEY}\n")
    assert run(["auth", "set", "openai"]) == 0
    _give(monkeypatch, _KEY)
    assert run(["auth", "set", "anthropic", "--base-url", "https://example.test"]) == 0
    capsys.readouterr()
    assert run(["auth", "list"]) == 0
    assert capsys.readouterr().out == "anthropic\nopenai\n"
    assert run(["auth", "list", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["providers"] == ["anthropic", "openai"]
    assert run(["auth", "remove", "openai"]) == 0
    assert run(["auth", "remove", "openai"]) == 1
    output = capsys.readouterr()
    assert _KEY not in json.dumps(shown) + output.out + output.err
    assert find_leaks(_KEY, [Path.home(), cwd]) == []


def test_the_password_of_the_tasks_database_is_kept_like_a_key(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, cwd: Path
) -> None:
    _give(monkeypatch, f"{_KEY}\n")
    assert run(["auth", "set", "postgres"]) == 0
    assert run(["auth", "list"]) == 0
    output = capsys.readouterr()
    assert output.out.endswith("postgres\n")
    assert _KEY not in output.out + output.err
    assert find_leaks(_KEY, [Path.home(), cwd]) == []


def test_a_key_given_as_an_argument_is_refused_and_not_repeated(capsys: Capture) -> None:
    assert run(["auth", "set", "openai", _KEY]) == 2
    shown = capsys.readouterr()
    assert "never from an argument" in shown.err
    assert _KEY not in shown.out + shown.err
    assert run(["auth", "list"]) == 0
    assert capsys.readouterr().out == ""


def test_on_a_terminal_the_key_is_asked_for_and_not_echoed(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "codetether_ray", "auth", "set", "openai"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())},
    )
    os.close(theirs)
    shown = b""
    while b"(hidden)" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, f"{_KEY}\n".encode())
    with contextlib.suppress(OSError):  # the terminal closes with its last user
        while piece := os.read(ours, 1024):
            shown += piece
    os.close(ours)
    assert child.wait() == 0
    assert _KEY.encode() not in shown
    assert b"the key of openai is in" in shown


def test_a_new_key_keeps_the_rest_of_the_record(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, cwd: Path
) -> None:
    import asyncio

    from codetether_ray.config.paths import data_dir
    from codetether_ray.secrets.encrypted import EncryptedStore

    _give(monkeypatch, "one")
    assert run(["auth", "set", "openai", "--base-url", "https://example.test/v1"]) == 0
    _give(monkeypatch, "two")
    assert run(["auth", "set", "openai"]) == 0
    secret = asyncio.run(EncryptedStore(data_dir()).get("openai"))
    assert secret is not None
    assert (secret.api_key, secret.base_url) == ("two", "https://example.test/v1")


@pytest.mark.parametrize("text", ["", "  \n", "two keys", "one\ntwo", "k\x00ey"])
def test_what_is_not_one_key_is_refused(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    _give(monkeypatch, text)
    assert run(["auth", "set", "openai"]) == 2
    assert "nothing was stored" in capsys.readouterr().err
    assert run(["auth", "list"]) == 0
    assert capsys.readouterr().out == ""


def test_a_key_is_never_an_argument_and_a_provider_must_exist(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(monkeypatch, _KEY)
    assert run(["auth", "set", "openai", _KEY]) == 2
    assert run(["auth", "set", "antropic"]) == 2
    assert "anthropic" in capsys.readouterr().err


def test_a_vault_without_a_token_ends_with_4(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    assert run(["auth", "list"]) == 4
    assert "VAULT_TOKEN" in capsys.readouterr().err


def test_a_setting_is_set_shown_with_its_origin_and_got(capsys: Capture, cwd: Path) -> None:
    assert run(["config", "set", "swarm.max_subagents", "7"]) == 0
    assert run(["config", "set", "--project", "workspace.copy", ".env, .venv"]) == 0
    capsys.readouterr()
    assert run(["config", "show", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    user_file = Path.home() / ".config" / "codetether-agent" / "config.toml"
    assert settings["swarm.max_subagents"] == {"value": 7, "origin": str(user_file)}
    assert settings["workspace.copy"]["value"] == [".env", ".venv"]
    assert settings["workspace.copy"]["origin"] == str(cwd / "codetether.toml")
    assert settings["swarm.max_steps"] == {"value": 100, "origin": "default"}
    assert run(["config", "get", "swarm.max_subagents"]) == 0
    assert run(["config", "get", "workspace.copy"]) == 0
    assert capsys.readouterr().out == "7\n.env\n.venv\n"
    assert run(["config", "get", "default_model"]) == 1
    assert run(["config", "show"]) == 0
    assert "swarm.max_subagents = 7" in capsys.readouterr().out


def test_a_model_goes_into_the_default_table_where_there_is_one(capsys: Capture, cwd: Path) -> None:
    file = cwd / "codetether.toml"
    file.write_text('[default]  # ours\nprovider = "anthropic"\nmodel = "x"\n')
    assert run(["config", "set", "--project", "default_model", "openrouter/a/b"]) == 0
    assert file.read_text() == '[default]  # ours\nprovider = "openrouter"\nmodel = "a/b"\n'
    capsys.readouterr()
    assert run(["config", "get", "default_model"]) == 0
    assert capsys.readouterr().out == "openrouter/a/b\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swarm.max_subagent", "7"], "did you mean `swarm.max_subagents`"),
        (["swarm.max_subagents", "many"], "whole number"),
        (["providers.openai.api_key", _KEY], "codetether auth set openai"),
        (["--project", "providers.openai.base_url", "http://x/"], "by a project"),
        (["default_model", "gpt"], "PROVIDER/MODEL"),
    ],
)
def test_a_wrong_setting_changes_nothing(
    capsys: Capture, cwd: Path, arguments: list[str], words: str
) -> None:
    assert run(["config", "set", *arguments]) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert _KEY not in output.out + output.err
    assert not (cwd / "codetether.toml").exists()
    assert not (Path.home() / ".config").exists()


def test_paths_are_printed_for_people_and_programs(capsys: Capture, cwd: Path) -> None:
    (cwd / "codetether.toml").touch()
    assert run(["config", "path"]) == 0
    assert "not there yet" in capsys.readouterr().out
    assert run(["config", "path", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["project"] == [str(cwd / "codetether.toml")]
    assert shown["data"].startswith(str(Path.home()))


def test_models_are_listed_with_the_references_keys(capsys: Capture) -> None:
    assert run(["models", "--provider", "anthropic", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert {row["provider"] for row in rows} == {"anthropic"}
    assert list(rows[0]) == [
        *("id", "name", "provider", "context_window", "max_output_tokens"),
        *("supports_vision", "supports_tools", "supports_streaming"),
        *("input_cost_per_million", "output_cost_per_million"),
    ]
    assert run(["models", "--provider", "nobody"]) == 2


def test_a_local_server_is_asked_for_its_models(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps({"data": [{"id": "qwen3"}]}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", address)
    try:
        assert run(["models", "-p", "local", "--json"]) == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    rows = json.loads(capsys.readouterr().out)
    assert [(row["provider"], row["id"]) for row in rows] == [("local", "qwen3")]
    assert rows[0]["input_cost_per_million"] is None  # as in a run's cost: nobody told us
    assert run(["models", "-p", "local", "--json"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out) == []
    assert address in output.err


@pytest.mark.parametrize(
    "command",
    [
        "auth",
        "cancel",
        "cleanup",
        "completion",
        "config",
        "models",
        "run",
        "runs",
        "sessions",
        "swarm",
    ],
)
def test_help_has_examples(capsys: Capture, command: str) -> None:
    assert run([command, "--help"]) == 0
    assert f"codetether {command}" in capsys.readouterr().out.partition("Examples:")[2]
