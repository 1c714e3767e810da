"""Update modules: programs that install payloads of any kind. docs/how-to/update-modules.md"""

from bistable.client.modules.call import Limits
from bistable.client.modules.find import DIRECTORIES, available_modules, find_module
from bistable.client.modules.payload import Incoming, ModulePayload
from bistable.client.modules.tree import ModuleTree, Running

__all__ = [
    "DIRECTORIES",
    "Incoming",
    "Limits",
    "ModulePayload",
    "ModuleTree",
    "Running",
    "available_modules",
    "find_module",
]
