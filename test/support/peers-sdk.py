"""Drives the platform's own SDK: a command a line on stdin, an answer a line on stdout, both JSON.

Commands: {"id", "do": "connect", "url", "key", "workflow"}, {"id", "do": "call", "path": "nodes.get_output", "args": [...]},
{"id", "do": "close"}. A connection that the server ends is told as {"event": "disconnected", "at": <CLOCK_MONOTONIC, ns>}.
"""

import asyncio
import json
import sys
import time

import noclick


def say(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main():
    client = None
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def run(command):
        nonlocal client
        try:
            if command["do"] == "connect":
                client = noclick.Client(command["key"], url=command["url"], workflow_id=command.get("workflow"), timeout=10)
                refusals = []
                # The SDK keeps its Socket.IO client to itself; these two events are not part of its interface.
                client._sio.reconnection = False
                client._sio.on("disconnect", lambda *_: say(event="disconnected", at=time.monotonic_ns()))
                client._sio.on("connect_error", lambda data: refusals.append(data))
                try:
                    await client.connect()
                except Exception:
                    say(id=command["id"], error="refused", refusal=refusals[0] if refusals else None)
                    return
                say(id=command["id"], result=True)
            elif command["do"] == "call":
                target = client
                for name in command["path"].split("."):
                    target = getattr(target, name)
                say(id=command["id"], result=await target(*command.get("args", [])))
            else:
                await client.disconnect()
                say(id=command["id"], result=True)
        except Exception as error:
            say(id=command["id"], error=str(error))

    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(run(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
