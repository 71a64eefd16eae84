"""Protobuf without generated modules: schemas as text, and the wire format."""
