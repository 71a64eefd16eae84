"""The neutral graph that every format is read into and written from."""

from mgn_convert.graph.builder import GraphBuilder, rewrite, with_batch
from mgn_convert.graph.types import Array, Graph, Node, Origin, Shape, Value

__all__ = ["Array", "Graph", "GraphBuilder", "Node", "Origin", "Shape", "Value", "rewrite", "with_batch"]
