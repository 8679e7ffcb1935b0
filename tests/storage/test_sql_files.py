"""SQL files: named statements are read, anything else is refused."""

from pathlib import Path

import pytest

from msgsvc.storage.sql_files import SqlFilesError, load


def sql_files(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / f"{name}.sql").write_text(text, encoding="utf-8")
    return directory


def test_statements_of_all_files_are_read_by_name(tmp_path: Path) -> None:
    directory = sql_files(
        tmp_path,
        one="-- name: select_a\n-- A.\nSELECT 'a';\n\n-- name: select_b\nSELECT\n    'b';\n",
        two="\n-- name: select_c\nSELECT 'c';",
    )
    assert load(directory) == {
        "select_a": "-- A.\nSELECT 'a';",
        "select_b": "SELECT\n    'b';",
        "select_c": "SELECT 'c';",
    }


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        ({"one": "-- name: select_a\nSELECT 1;\n-- name: select_a\nSELECT 2;"}, "select_a"),
        ({"one": "-- name: select_a\nSELECT 1;", "two": "-- name: select_a\nSELECT 1;"}, "two.sql"),
        ({"one": "SELECT 1;"}, "one.sql"),
        ({"one": "-- about this file\n-- name: select_a\nSELECT 1;"}, "one.sql"),
        ({"one": "-- name: SelectA\nSELECT 1;"}, "SelectA"),
        ({"one": "-- name: select-a\nSELECT 1;"}, "select-a"),
        ({"one": "-- name:\nSELECT 1;"}, "one.sql"),
        ({"one": "-- name: select_a select_b\nSELECT 1;"}, "select_b"),
        ({"one": "-- name: 1_select\nSELECT 1;"}, "1_select"),
    ],
)
def test_bad_repeated_and_stray_statements_are_refused_by_name(
    tmp_path: Path, texts: dict[str, str], word: str
) -> None:
    with pytest.raises(SqlFilesError, match=word):
        load(sql_files(tmp_path, **texts))
