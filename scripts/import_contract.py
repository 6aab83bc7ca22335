"""The contract `only` for import-linter: what a package may import, beside itself and the standard library."""

from __future__ import annotations

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """Broken by a direct import of anything that is not below `allowed_modules`."""

    source_modules: Any = fields.ListField(subfield=fields.ModuleField())
    allowed_modules: Any = fields.ListField(subfield=fields.ModuleField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        sources = [source.name for source in self.source_modules]
        allowed = [*sources, *(module.name for module in self.allowed_modules), *sys.stdlib_module_names]
        importers = {module for source in sources for module in (source, *graph.find_descendants(source))}
        strays = sorted(
            f"{importer} -> {imported}"
            for importer in importers
            for imported in graph.find_modules_directly_imported_by(importer)
            if not any(imported == name or imported.startswith(f"{name}.") for name in allowed)
        )
        return ContractCheck(kept=not strays, metadata={"strays": strays})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for stray in check.metadata["strays"]:
            output.print_error(f"not allowed: {stray}")
