"""
A client of the control protocol (docs/protocol.md) that shares no code with this project: pyzmq and msgpack of Debian.

    control_client.py CONTROL_PORT DATA_PORT PUBLIC_KEY

Runs through every request and every refusal against a sponsor on loopback that offers 256 MiB and has no other demander.
Exits with 0, or with a traceback and 1 at the first difference.
"""

import os
import socket
import struct
import sys
import uuid

import msgpack
import zmq

MIB = 1 << 20
SECONDS = 20


class Client:
    def __init__(self, port, server_key):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = SECONDS * 1000
        self.socket.curve_serverkey = server_key.encode()
        self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.last_id = 0

    def send(self, message):
        self.socket.send(msgpack.packb(message, use_bin_type=True))

    def receive(self):
        return msgpack.unpackb(self.socket.recv(), raw=False)

    def ask(self, type, version=1, **fields):
        self.last_id += 1
        self.send({"v": version, "type": type, "id": self.last_id, **fields})
        answer = self.receive()
        assert answer["v"] == 1 and answer["id"] == self.last_id, answer
        return answer

    def ok(self, type, **fields):
        answer = self.ask(type, **fields)
        assert answer["type"] == type + ".ok", answer
        return answer

    def refused(self, code, type, **fields):
        answer = self.ask(type, **fields)
        assert answer["type"] == "error" and answer["code"] == code, (code, answer)
        assert answer["message"], answer
        return answer["message"]

    def hello(self, demander):
        return self.ok("hello", demander=demander, name="interop")


def open_data(port, demander, token):
    """The opening of docs/protocol.md, data plane; returns the connection and the sponsor's status and id."""
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    connection.sendall(struct.pack("<IHHII16s32s", 0x31434548, 1, 1, 0, 0, demander, token))
    welcome = b""
    while len(welcome) < 64:
        part = connection.recv(64 - len(welcome))
        assert part, f"the data connection ended after {len(welcome)} bytes"
        welcome += part
    magic, version, kind, status, _, sponsor, _ = struct.unpack("<IHHII16s32s", welcome)
    assert (magic, version, kind) == (0x31434548, 1, 2), welcome
    return connection, status, sponsor


def main():
    control_port, data_port, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    demander = uuid.uuid4().bytes
    client = Client(control_port, key)

    # Before hello, everything else is refused.
    for early in ("heartbeat", "list", "stats", "token", "reset"):
        client.refused("hello_first", early)
    client.refused("hello_first", "allocate", bytes=64 * MIB)
    client.refused("version", "hello", version=2, demander=demander, name="x")
    client.refused("bad_request", "hello", demander=demander[:15], name="x")
    client.refused("bad_request", "hello", demander=demander.hex(), name="x")
    client.refused("bad_request", "hello", demander=demander, name="x" * 200)

    hello = client.hello(demander)
    assert len(hello["sponsor"]) == 16 and len(hello["instance"]) == 16, hello
    assert hello["page_size"] == 4096 and hello["data_port"] == data_port, hello
    assert hello["offered_bytes"] == hello["free_bytes"] == 256 * MIB, hello
    assert hello["slab_bytes_min"] == 64 * MIB and hello["slab_bytes_max"] == 1024 * MIB, hello
    assert hello["gone_after_ms"] > 0 and hello["transports"] == ["tcp"], hello
    assert hello["rdma_port"] == 0, hello
    assert len(hello["cluster"]) == 16 and all(isinstance(label, str) and "=" in label for label in hello["labels"]), hello
    assert client.hello(demander)["instance"] == hello["instance"]
    client.refused("bad_request", "hello", demander=uuid.uuid4().bytes, name="other")

    # Slabs.
    first = client.ok("allocate", bytes=64 * MIB)
    second = client.ok("allocate", bytes=128 * MIB)
    assert first["bytes"] == 64 * MIB and first["slab"] != second["slab"], (first, second)
    assert "64MiB" in client.refused("full", "allocate", bytes=128 * MIB)
    for wrong in (0, 1, 65 * MIB, 2048 * MIB, 2**64 - 1, -1, "64MiB", None):
        client.refused("bad_request", "allocate", bytes=wrong)
    slabs = client.ok("list")["slabs"]
    assert slabs == [{"slab": a["slab"], "bytes": a["bytes"]} for a in (first, second)], slabs
    stats = client.ok("stats")
    assert stats["offered_bytes"] == 256 * MIB and stats["lent_bytes"] == 192 * MIB, stats
    assert stats["free_bytes"] == 64 * MIB and stats["demanders"] == 1, stats
    assert stats["data_connections"] == 0 and stats["requests_refused"] > 0, stats
    assert {"pages_read", "pages_written"} <= stats.keys(), stats

    # Another demander sees nothing of it.
    other = Client(control_port, key)
    other.hello(uuid.uuid4().bytes)
    assert other.ok("list")["slabs"] == []
    other.refused("no_such_slab", "free", slab=first["slab"])

    # There is no RDMA on loopback, and a key of a slab goes to its demander only.
    client.refused("rdma", "key", slab=first["slab"], domain=1)
    client.refused("bad_request", "key", slab=first["slab"])
    client.refused("bad_request", "key", slab=first["slab"], domain=2**32)
    other.refused("no_such_slab", "key", slab=first["slab"], domain=1)

    # A token opens one data connection, of its demander only.
    token = client.ok("token")
    assert len(token["token"]) == 32 and token["data_port"] == data_port and token["valid_ms"] > 0, token
    _, status, _ = open_data(data_port, uuid.uuid4().bytes, token["token"])
    assert status == 3, status
    data, status, sponsor = open_data(data_port, demander, token["token"])
    assert status == 0 and sponsor == hello["sponsor"], (status, sponsor)
    _, status, _ = open_data(data_port, demander, token["token"])
    assert status == 3, status
    assert client.ok("stats")["data_connections"] == 1

    # A reset ends this demander's connections and voids its tokens, and nobody else's.
    bystander = uuid.uuid4().bytes
    third = Client(control_port, key)
    third.hello(bystander)
    elsewhere, status, _ = open_data(data_port, bystander, third.ok("token")["token"])
    assert status == 0, status
    unused = client.ok("token")["token"]
    client.ok("reset")
    assert data.recv(1) == b""
    _, status, _ = open_data(data_port, demander, unused)
    assert status == 3, status
    assert client.ok("stats")["data_connections"] == 1
    elsewhere.close()
    data, status, _ = open_data(data_port, demander, client.ok("token")["token"])
    assert status == 0, status

    # What is no message is dropped, what is unknown is refused, and neither disturbs anybody.
    for noise in (b"", b"\xc1", b"\x81", os.urandom(100), msgpack.packb([1, 2]), msgpack.packb({"v": 1, "id": 1})):
        client.socket.send(noise)
    client.socket.send_multipart([b"", msgpack.packb({"v": 1, "id": 1, "type": "heartbeat"})])
    client.refused("unknown_type", "dance")
    client.ok("heartbeat", colour="an unknown field")

    # An oversize frame ends the connection that sent it. ZeroMQ makes a new one, which has to say hello again.
    client.send({"v": 1, "type": "heartbeat", "id": 0, "padding": bytes(70_000)})
    other.ok("heartbeat")
    while True:
        client.last_id += 1
        client.send({"v": 1, "type": "heartbeat", "id": client.last_id})
        try:
            client.socket.rcvtimeo = 500
            answer = client.receive()
            break
        except zmq.Again:
            pass
    assert answer["type"] == "error" and answer["code"] == "hello_first", answer
    client.socket.rcvtimeo = SECONDS * 1000
    assert client.hello(demander)["instance"] == hello["instance"]
    assert client.ok("list")["slabs"] == slabs

    # Giving back.
    data.close()
    client.ok("free", slab=first["slab"])
    client.refused("no_such_slab", "free", slab=first["slab"])
    client.refused("bad_request", "free")
    client.ok("free", slab=second["slab"])
    assert client.ok("stats")["lent_bytes"] == 0


main()
