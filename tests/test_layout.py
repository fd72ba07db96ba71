"""Every module has the tests of the same name."""

from pathlib import Path

import coplayer

TESTS, PACKAGE = Path(__file__).parent, Path(coplayer.__file__).parent


def test_every_module_has_its_tests():
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    named = [path for path in modules if path.name != "__init__.py"]
    assert len(named) > 80
    without = [str(path) for path in named if not (TESTS / path.parent / f"test_{path.name}").exists()]
    assert not without, f"no tests of {', '.join(without)}"
