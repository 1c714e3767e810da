"""The commands of this part, which the program `bistable` finds by their entry points."""
