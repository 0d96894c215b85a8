"""The web service: parse, call, return. Everything it knows, it asks `reconflow.jobs` for."""
