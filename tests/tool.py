"""The scripts in tools/, as modules."""

import importlib.util
from types import ModuleType

from texts import REPOSITORY


def tool(name: str) -> ModuleType:
    """The script tools/NAME.py."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
