"""The tests; helpers beside them are imported by their full name, as ``tests.engine.toy``."""
