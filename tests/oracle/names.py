"""The names of a schema, as oracles look them up: fields by name, and which way relations go."""

from __future__ import annotations

from ormdb.ir.schema import FieldDef, RelationDef, SchemaBundle, ThroughDef


class Names:
    """The names of a bundle: which way each relation goes."""

    def __init__(self, bundle: SchemaBundle) -> None:
        self.bundle = bundle
        self.entities = {entity.name: entity for entity in bundle.entities}
        self.forward = {(r.source, r.name): r for r in bundle.relations}
        self.backward = {(r.target, r.inverse): r for r in bundle.relations if r.inverse}
        self.through = {(t.entity, t.name): t for t in bundle.throughs}

    def field(self, entity: str, name: str) -> FieldDef:
        return next(each for each in self.entities[entity].fields if each.name == name)

    def way(self, entity: str, name: str) -> tuple[str, RelationDef | ThroughDef, str]:
        """Which kind of way a name is ("one", "back", "many" or "through"), and where it leads."""
        if (relation := self.forward.get((entity, name))) is not None:
            return "one", relation, relation.target
        if (relation := self.backward.get((entity, name))) is not None:
            return "back" if relation.inverse_one else "many", relation, relation.source
        through = self.through[entity, name]
        return "through", through, through.target

    def path_end(self, entity: str, path: tuple[str, ...]) -> FieldDef:
        for name in path[:-1]:
            entity = self.way(entity, name)[2]
        return self.field(entity, path[-1])
