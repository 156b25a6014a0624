"""A client of the sidecar in another language: grpcio, with nothing but what server reflection tells it.

Reads one step a line from standard input, as JSON, and answers each with one line:

    {"target": "127.0.0.1:1", "call": "latchkey.v1.AuthorizationService/Authorize", "messages": [{...}], "take": 1}

`messages` are what the client sends (one, unless it streams). `take` is how many answers of a stream to wait for before
the call is cancelled; without it the stream is read to its end. The answer: {"code", "details", "messages"}.
{"list": true} answers the names of the services.
"""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

DEADLINE_SECONDS = 30
channels = {}


def channel_of(target):
    """The connection to a target and what its reflection tells, kept for later steps."""
    if target not in channels:
        channel = grpc.insecure_channel(target)
        database = ProtoReflectionDescriptorDatabase(channel)
        channels[target] = (channel, database, DescriptorPool(database))
    return channels[target]


def run(step):
    channel, database, pool = channel_of(step["target"])
    if step.get("list"):
        return {"services": sorted(database.get_services())}
    service, name = step["call"].split("/")
    method = pool.FindServiceByName(service).FindMethodByName(name)
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    stub = getattr(channel, kind)(
        f"/{step['call']}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    requests = [ParseDict(message, GetMessageClass(method.input_type)()) for message in step["messages"]]
    answers = []
    try:
        request = iter(requests) if method.client_streaming else requests[0]
        if not method.server_streaming:
            answers.append(stub(request, timeout=DEADLINE_SECONDS))
        else:
            call = stub(request, timeout=DEADLINE_SECONDS)
            for answer in call:
                answers.append(answer)
                if len(answers) == step.get("take"):
                    call.cancel()
                    break
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details(), "messages": []}
    return {"code": "OK", "details": "", "messages": [MessageToDict(answer) for answer in answers]}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
