"""What a folder on the PATH shows: all that its installation is made of, and nothing else that lies there."""

import os

import pytest

from autopack.adapters.sandbox.places import Keep, places_of

INSTALLATIONS = [
    pytest.param("srv/tools/bin", "lib/tool.so libexec/part share/tool/table etc/tool.rc", id="a tool"),
    pytest.param(
        "home/.nvm/versions/node/v22/bin", "lib/node_modules/npm/index.js include/node/node.h", id="node"
    ),
    pytest.param(
        "home/.pyenv/versions/3.12.1/bin", "lib/python3.12/os.py include/python3.12/P.h", id="Python"
    ),
    pytest.param(
        "home/envs/one/bin", "pyvenv.cfg lib/python3.12/site.py share/jupyter/k.json", id="an environment"
    ),
    pytest.param(
        "home/miniconda3/bin",
        "conda-meta/history lib/python3.12/os.py ssl/cert.pem etc/fonts/fonts.conf envs/one/bin/python"
        " x86_64-conda-linux-gnu/sysroot/lib/libc.so",
        id="conda",
    ),
    pytest.param(
        "home/.rustup/toolchains/stable/bin", "lib/rustlib/core.rlib etc/bash_completion.d/cargo", id="Rust"
    ),
    pytest.param(
        "opt/jdk-21/bin", "lib/modules conf/net.properties jmods/java.base.jmod release legal/l", id="a JDK"
    ),
    pytest.param("opt/jdk8/bin", "lib/tools.jar jre/lib/rt.jar release", id="an old JDK"),
    pytest.param(
        "home/.sdkman/candidates/maven/3.9/bin", "lib/m.jar boot/plexus-classworlds-2.jar conf/l", id="Maven"
    ),
    pytest.param("opt/groovy/bin", "lib/g.jar conf/groovy-starter.conf", id="Groovy"),
    pytest.param(
        "home/sdk/go1.22/bin",
        "lib/time/zoneinfo.zip src/cmd/go/main.go src/fmt/print.go pkg/tool/link VERSION go.env misc/wasm/go",
        id="Go",
    ),
    pytest.param(
        "home/linuxbrew/.linuxbrew/bin",
        "lib/libz.so Cellar/ruby/3/bin/ruby opt/ruby/bin/ruby etc/openssl/cert.pem sbin/d include/z.h share/s",
        id="Homebrew",
    ),
    pytest.param("home/.rbenv/versions/3.3/bin", "lib/ruby/3.3.0/set.rb include/ruby/ruby.h", id="Ruby"),
    pytest.param(
        "home/.asdf/installs/erlang/26/bin", "lib/k erts-14/bin/erlexec releases/26/start.boot", id="Erlang"
    ),
    pytest.param(
        "opt/cuda/bin", "lib64/libcudart.so nvvm/bin/cicc targets/x86_64-linux/include/cuda.h", id="CUDA"
    ),
    pytest.param("opt/dart/bin", "lib/core.dart bin/snapshots/dartdev.snapshot version", id="Dart"),
    pytest.param(
        "home/.pyenv/shims",
        ".git/config libexec/pyenv pyenv.d/exec/x.bash versions/3.12.1/bin/python version plugins/p/bin/p",
        id="shims of pyenv",
    ),
    pytest.param(
        "home/.asdf/shims",
        ".git/config lib/asdf.sh installs/ruby/3/bin/ruby plugins/ruby/bin/x",
        id="of asdf",
    ),
    pytest.param(
        "opt/arm/bin",
        "lib/gcc/arm-none-eabi/13/cc1 arm-none-eabi/bin/as arm-none-eabi/include/stdio.h",
        id="GCC for another machine",
    ),
    pytest.param("opt/ndk/bin", "lib/clang/17/x.h sysroot/usr/include/stdio.h", id="the NDK"),
    pytest.param(
        "home/conda/envs/go/bin",
        "conda-meta/history lib/x.so go/src/fmt/print.go opt/maven/m",
        id="Go of conda",
    ),
    pytest.param("opt/ldc/bin", "lib/libphobos.a import/ldc/intrinsics.di", id="D"),
    pytest.param("opt/nim/bin", "lib/system.nim config/nim.cfg config/config.nims", id="Nim"),
    pytest.param("opt/racket/bin", "lib/r.rktd collects/racket/base.rkt", id="Racket"),
    pytest.param("opt/scala/bin", "lib/s.jar maven2/org/scala-lang/x.jar", id="Scala"),
    pytest.param("home/.local/share/mise/shims", "installs/node/22/bin/node", id="of mise"),
]
SECRETS = (".env", ".netrc", "notes.txt", "config/logins.json", "var/data.db", "secrets/key.pem")


@pytest.fixture
def keep(tmp_path):
    return Keep.of({"HOME": str(tmp_path / "home")}, tmp_path / "home/src/project")


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def is_shown(path, folder, keep):
    places = tuple(places_of({"PATH": f"/usr/bin:{folder}"}, keep))
    return any(it in (path, *path.parents) for place in places for it in (place, place.resolve()))


@pytest.mark.parametrize("linked", [False, True], ids=["", "through a link"])
@pytest.mark.parametrize(("folder", "parts"), INSTALLATIONS)
def test_an_installation_is_shown_and_nothing_beside_it(tmp_path, keep, folder, parts, linked):
    folder = tmp_path / folder
    prefix = folder.parent
    needed = [it for it in parts.split() if it != ".git/config"]
    write(folder, "tool")
    write(prefix, *parts.split(), *SECRETS)
    if linked:
        current = tmp_path / "home/candidates/current"
        current.parent.mkdir(parents=True)
        current.symlink_to(prefix)
        folder = current / folder.name
    assert is_shown(prefix / folder.name / "tool", folder, keep)
    assert [it for it in needed if not is_shown(prefix / it, folder, keep)] == []
    assert [it for it in (*SECRETS, ".git/config") if is_shown(prefix / it, folder, keep)] == []


@pytest.mark.parametrize("depth", ["", "tools", "services/api", "a/b/c/d"])
@pytest.mark.parametrize("name", ["bin", "shims"])
@pytest.mark.parametrize("linked", [False, True], ids=["", "through a link"])
def test_of_the_checkout_only_the_folder_itself_is_shown(tmp_path, keep, depth, name, linked):
    prefix = tmp_path / "home/src/project" / depth
    write(
        prefix, f"{name}/tool", "lib/own.py", "lib/python3.12/own.py", "etc/logins", "src/cmd/go/x", *SECRETS
    )
    folder = prefix / name
    if linked:
        (tmp_path / "link").symlink_to(prefix)
        folder = tmp_path / "link" / name
    shown = {it.relative_to(prefix).parts[0] for it in prefix.rglob("*") if is_shown(it, folder, keep)}
    assert shown == {name}


@pytest.mark.parametrize("depth", [".venv", "services/api/.venv"])
def test_of_the_checkout_an_environment_is_shown(tmp_path, keep, depth):
    prefix = tmp_path / "home/src/project" / depth
    write(prefix, "bin/tool", "pyvenv.cfg", "lib/python3.12/site.py", ".env", "src/own.py", "src/app/own.py")
    # What pip installed for editing, from a repository of its own.
    write(prefix, "src/pkg/.git/config", "src/pkg/pkg.py")
    shown = {it.relative_to(prefix) for it in prefix.rglob("*") if is_shown(it, prefix / "bin", keep)}
    assert {it.parts[0] for it in shown if it.parts[0] != "src"} == {"bin", "pyvenv.cfg", "lib"}
    assert {it.parts[1] for it in shown if it.parts[0] == "src"} == {"pkg"}


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        pytest.param("home/bin", {"bin"}, id="in the home"),
        pytest.param("home/shims", {"shims"}, id="shims in the home"),
        pytest.param("home/tools/bin", {"bin"}, id="right below it"),
        pytest.param("home/.local/bin", {"bin", "lib/python3.12"}, id="beside logins"),
        pytest.param("elsewhere/checkout/bin", {"bin", "lib/python3.12"}, id="another checkout"),
        pytest.param("srv/app/bin", {"bin"}, id="without libraries"),
    ],
)
def test_where_other_things_may_lie_only_programs_and_pythons_modules_are_shown(
    tmp_path, keep, folder, shown
):
    folder = tmp_path / folder
    prefix = folder.parent
    write(folder, "tool")
    write(prefix, "share/logins", "etc/logins", *SECRETS)
    if "lib/python3.12" in shown:
        write(prefix, "lib/python3.12/os.py", "lib/private.txt", ".git/HEAD")
    found = {os.path.relpath(it, prefix) for it in places_of({"PATH": str(folder)}, keep)}
    assert found == shown
