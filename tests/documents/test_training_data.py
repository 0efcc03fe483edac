"""What docs/training-data.md says of a source in Python works as it stands there."""

from pathlib import Path

from tests.support.documents import Home, read


def test_its_python_reads_a_pair(tmp_path: Path) -> None:
    (code,) = read("docs/training-data.md").python
    done = Home(tmp_path).run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("drawing 7 (")
