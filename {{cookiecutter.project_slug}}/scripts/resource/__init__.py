"""`poe resource` and `poe field`: write the code of a resource. Change it and its templates as you like."""
