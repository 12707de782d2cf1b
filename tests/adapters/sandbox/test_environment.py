from codetether_ray.sandbox.environment import tool_environment

_SECRET = {
    "VAULT_TOKEN": "hvs.x",
    "CODETETHER_AUTH_TOKEN": "t",
    "RAY_AUTH_TOKEN": "t",
    "RAY_ADDRESS": "auto",
    "AWS_SECRET_ACCESS_KEY": "k",
    "AWS_PROFILE": "p",
    "OPENAI_API_KEY": "k",
    "GITHUB_TOKEN": "t",
    "SSH_AUTH_SOCK": "/s",
    "SOMETHING_NEW": "x",
    "LD_PRELOAD": "/x.so",
    "PYTHONPATH": "/x",
}


def test_a_variable_that_nobody_allowed_is_unseen() -> None:
    seen = tool_environment({**_SECRET, "HOME": "/h", "LC_ALL": "C", "PATH": "/b"})
    assert not _SECRET.keys() & seen.keys()
    assert (seen["HOME"], seen["LC_ALL"], seen["PATH"]) == ("/h", "C", "/b")


def test_an_allowed_variable_that_holds_a_password_or_key_is_left_out() -> None:
    seen = tool_environment(
        {
            "PIP_INDEX_URL": "https://me:secret@index/simple",
            "HTTPS_PROXY": "http://me:secret@proxy:1",
            "HTTP_PROXY": "http://proxy:1",
            "MAKEFLAGS": "KEY=sk-ant-api03-aaaabbbbcccc1111dddd",
        }
    )
    assert "PIP_INDEX_URL" not in seen
    assert "HTTPS_PROXY" not in seen
    assert "MAKEFLAGS" not in seen
    assert seen["HTTP_PROXY"] == "http://proxy:1"


def test_an_agents_own_variables_are_added_as_they_are() -> None:
    assert tool_environment({}, {"PORT": "4000", "PATH": "/x"})["PORT"] == "4000"
    assert tool_environment({}, {"PATH": "/x"})["PATH"] == "/x"
    assert tool_environment({})["PATH"]
