"""Models of the tables. Each module in this package is imported here, so that none can be missed by
Alembic, by a foreign key or by a relationship.
"""

import importlib
import pkgutil

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
