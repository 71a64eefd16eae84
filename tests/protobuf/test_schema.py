"""The schemas, as our parser and as protoc understand them."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_tools import protoc

from mgn_convert.protobuf.schema import file_descriptor
from mgn_convert.resources import resource


@pytest.mark.parametrize("schema", ["caffe.proto", "tensorflow.proto"])
def test_schema_equals_what_protoc_makes_of_it(schema, tmp_path):
    path = resource(f"schemas/{schema}")
    out = tmp_path / "set"
    assert protoc.main(["protoc", f"-I{path.parent}", f"--descriptor_set_out={out}", str(path)]) == 0
    compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    theirs, ours = (resolved(schema, d) for d in (compiled, file_descriptor(schema, path.read_text())))
    assert theirs == ours


def resolved(schema, file) -> descriptor_pb2.FileDescriptorProto:
    """The schema as a pool understands it, with all type names resolved."""
    pool = descriptor_pool.DescriptorPool()
    file.ClearField("syntax")
    pool.Add(file)
    whole = descriptor_pb2.FileDescriptorProto()
    pool.FindFileByName(schema).CopyToProto(whole)
    for message in whole.message_type:
        for field in message.field:
            field.ClearField("json_name")  # which follows from the name
    return whole
