"""The package finds its SQL files however it was installed, and refuses to start without them."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import CHECKOUT, environment, msgsvc, unmeasured
from served import running

API = "/api/messages"
PAGE_SUFFIXES = {".html", ".css", ".js", ".svg"}


def run(*command: str, cwd: Path) -> str:
    ran = subprocess.run(
        command, cwd=cwd, env=unmeasured(PYTHONPATH=""), capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def copy_checkout(to: Path) -> Path:
    """Copies the checkout without files that tools left in it."""
    shutil.copytree(CHECKOUT / "msgsvc", to / "msgsvc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "sql", to / "sql")
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        if (CHECKOUT / name).exists():
            shutil.copy(CHECKOUT / name, to)
    return to


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_checkout(tmp_path_factory.mktemp("source"))
    built = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(built), ".", cwd=source)
    (path,) = built.glob("*.whl")
    return path


def new_environment(directory: Path, *what: str, source: Path) -> Path:
    """Creates a virtual environment with these packages and their requirements; returns its directory of programs."""
    run(sys.executable, "-m", "venv", "--without-pip", str(directory), cwd=directory)
    programs = directory / "bin"
    pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet")
    run(*pip, *what, cwd=source)
    return programs


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_environment(tmp_path_factory.mktemp("environment"), str(wheel), source=wheel.parent)


def serve_a_message(cwd: Path, command: tuple[str, ...] = (), **variables: str) -> None:
    """Starts in an empty directory, and sends and receives a message over HTTP."""
    assert msgsvc("migrate", cwd=cwd, command=command, **variables).errors == ""
    tokens = {}
    for name, role in (("thea", "therapist"), ("uma", "user")):
        assert msgsvc("user", "add", name, "--role", role, cwd=cwd, command=command, **variables).status == 0
        tokens[name] = msgsvc("token", name, cwd=cwd, command=command, **variables).output.strip()
    serve = [*(command or (sys.executable, "-m", "msgsvc")), "serve", "--port", "0"]
    with running(serve, Path(f"{cwd}.log"), cwd=cwd, env=environment(**variables)) as service:
        message = {"recipient": "uma", "content": "How are you?"}
        assert service.call("POST", f"{API}/send", message, Authorization=tokens["thea"]).status == 201
        assert service.call("GET", f"{API}/inbox", Authorization=tokens["uma"]).json["total_unread"] == 1
        assert service.stop() == 0


def test_wheel_contains_only_code_sql_files_and_the_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "msgsvc").rglob("*.py")}
    sql = {f"msgsvc/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "sql").rglob("*.sql")}
    page = {
        str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "msgsvc/page").iterdir() if path.suffix in PAGE_SUFFIXES
    }
    assert "msgsvc/page/index.html" in page
    assert names == {*code, *sql, *page, "msgsvc/py.typed", "msgsvc/common_passwords.txt"}


def build(source: Path, to: Path) -> set[str]:
    """Builds a wheel as `pip install .` does; the files in it."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(to), ".", cwd=source)
    (path,) = to.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_a_second_wheel_holds_nothing_that_is_no_longer_in_the_checkout(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    migrations = copy_checkout(source) / "sql" / "sqlite" / "migrations"
    (migrations / "0999_of_another_branch.sql").write_text("SELECT 1;\n")
    (source / "msgsvc" / "renamed.py").write_text("")
    assert "msgsvc/sql/sqlite/migrations/0999_of_another_branch.sql" in build(source, tmp_path / "first")
    (migrations / "0999_of_another_branch.sql").unlink()
    (source / "msgsvc" / "renamed.py").unlink()
    second = build(source, tmp_path / "second")
    assert not {name for name in second if "another_branch" in name or "renamed" in name}


@pytest.mark.slow
def test_the_wheel_serves_from_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    serve_a_message(tmp_path, (str(installed / "msgsvc"),), PYTHONPATH="")
    assert {path.name for path in tmp_path.iterdir()} == {"messages.db"}


@pytest.mark.slow
def test_wheel_requires_only_werkzeug_and_waitress(installed: Path) -> None:
    (packages,) = installed.parent.glob("lib/python*/site-packages")
    names = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")}
    assert names == {"msgsvc", "werkzeug", "markupsafe", "waitress"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "migrate", "check"])
def test_a_postgresql_uri_without_the_driver_is_refused_with_the_name_of_the_extra(
    installed: Path, tmp_path: Path, command: str
) -> None:
    program = (str(installed / "msgsvc"),)
    ran = msgsvc(command, "--database", "postgresql://u:p@db/x", cwd=tmp_path, command=program, PYTHONPATH="")
    assert (ran.status, ran.output, ran.errors.count("\n")) == (1, "", 1)
    assert "PostgreSQL needs the extra postgresql: pip install 'msgsvc[postgresql]'" in ran.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_editable_install_serves_from_an_empty_directory(tmp_path: Path) -> None:
    source, environment, empty = (tmp_path / name for name in ("source", "environment", "empty"))
    for directory in (source, environment, empty):
        directory.mkdir()
    programs = new_environment(environment, "--editable", ".", source=copy_checkout(source))
    script = "from msgsvc.storage import sql_files; print(sql_files.sql_directory('sqlite'))"
    assert run(str(programs / "python"), "-I", "-c", script, cwd=empty).strip() == str(source / "sql" / "sqlite")
    serve_a_message(empty, (str(programs / "msgsvc"),), PYTHONPATH="")


def test_a_plain_checkout_finds_the_sql_files(tmp_path: Path) -> None:
    checkout, empty = tmp_path / "checkout", tmp_path / "empty"
    checkout.mkdir()
    empty.mkdir()
    copy_checkout(checkout)
    serve_a_message(empty, PYTHONPATH=str(checkout))


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("serve", "sql"),
        ("serve", "sql/sqlite/migrations"),
        ("serve", "sql/sqlite/queries"),
        ("demo", "sql/sqlite/queries"),
        ("migrate", "sql/sqlite/migrations"),
    ],
)
def test_missing_sql_files_stop_the_start_with_one_line(tmp_path: Path, command: str, missing: str) -> None:
    checkout, empty = tmp_path / "checkout", tmp_path / "empty"
    checkout.mkdir()
    empty.mkdir()
    shutil.rmtree(copy_checkout(checkout) / missing)
    ran = msgsvc(command, cwd=empty, PYTHONPATH=str(checkout), TMPDIR=str(empty), PORT="0")
    assert (ran.status, ran.output, ran.errors.count("\n")) == (1, "", 1), ran.errors
    assert "SQL" in ran.errors
    assert list(empty.iterdir()) == []
