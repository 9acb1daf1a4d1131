"""
A demander written from docs/protocol.md alone, with pyzmq and msgpack of Debian: what that page says is enough, and is so.

    client.py CONTROL_PORT KEYS TRUSTING_PORT TRUSTING_KEYS SECRET

Two sponsors on loopback that nobody else uses: one without a trust file that offers 256 MiB, and one whose trust file has the
key of SECRET with a quota of 64 MiB, with --gone-after 1; KEYS are their --keys. Exits with 0, or with a traceback and 1 at the
first difference.
"""

import os
import random
import socket
import struct
import sys
import time
import uuid

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

MIB = 1 << 20
PAGE = 4096
SECONDS = 20
OBSERVER = bytes(16)
READ, WRITE = 1, 2
OPENING, REQUEST, RESPONSE = 0x31434548, 0x51434548, 0x52434548


def key_file(keys, name):
    with open(os.path.join(keys, name), encoding="ascii") as file:
        return file.read().strip()


class Control:
    """The control plane: one DEALER, one question at a time."""

    def __init__(self, port, server_key, secret=None):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = SECONDS * 1000
        if server_key is not None:
            public, own = zmq.curve_keypair() if secret is None else (zmq.curve_public(secret.encode()), secret.encode())
            self.socket.curve_serverkey = server_key.encode()
            self.socket.curve_publickey, self.socket.curve_secretkey = public, own

        # Under a name of its own: pyzmq's is the socket's number, which another had before.
        place = f"inproc://events-{uuid.uuid4().hex}"
        self.socket.monitor(place, zmq.EVENT_ALL)
        self.events = zmq.Context.instance().socket(zmq.PAIR)
        self.events.linger = 0
        self.events.connect(place)
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.last_id = 2**63

    def ask(self, type, version=1, **fields):
        self.last_id += 1
        self.socket.send(msgpack.packb({"v": version, "type": type, "id": self.last_id, **fields}, use_bin_type=True))
        answer = msgpack.unpackb(self.socket.recv(), raw=False)
        assert answer["v"] == 1 and answer["id"] == self.last_id, answer
        return answer

    def ok(self, type, **fields):
        answer = self.ask(type, **fields)
        assert answer["type"] == type + ".ok", answer
        return answer

    def refused(self, code, type, **fields):
        answer = self.ask(type, **fields)
        assert answer["type"] == "error" and answer["code"] == code and answer["message"], (code, answer)

    def hello(self, demander):
        return self.ok("hello", demander=demander, name="client.py")

    def fails_in_handshake(self):
        """True where the connection ends before anything is answered: all that a wrong key is to be seen by."""
        self.socket.send(msgpack.packb({"v": 1, "type": "hello", "id": 1, "demander": uuid.uuid4().bytes, "name": ""}, use_bin_type=True))
        failures = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        while self.events.poll(SECONDS * 1000):
            event = recv_monitor_message(self.events)["event"]
            if event & failures:
                return self.socket.poll(0) == 0
            assert event != zmq.EVENT_HANDSHAKE_SUCCEEDED, "the handshake succeeded"
        return False


class Data:
    """A data connection. Requests go out as they are asked for; answers are taken in the same order."""

    def __init__(self, port, demander, token, magic=OPENING, version=1, kind=1):
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = []
        self.last_id = 0
        self.socket.sendall(struct.pack("<IHHII16s32s", magic, version, kind, 0, 0, demander, token))
        fields = struct.unpack("<IHHII16s32s", self.take(64))
        assert fields[:3] == (OPENING, 1, 2) and fields[6] == bytes(32), fields
        self.status, self.pages_max, self.sponsor = fields[3:6]
        assert self.pages_max == 256, self.pages_max

    def take(self, count):
        parts = bytearray()
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            assert part, f"the connection ended after {len(parts)} of {count} bytes"
            parts += part
        return bytes(parts)

    def send(self, op, slab, slot, pages, payload=b"", magic=REQUEST, reserved=(0, 0)):
        self.last_id += 1
        self.asked.append((op, slab, slot, pages, self.last_id))
        self.socket.sendall(struct.pack("<IBBHQIIQ", magic, op, reserved[0], pages, slab, slot, reserved[1], self.last_id) + payload)

    def answer(self):
        """The status, and what was read."""
        op, slab, slot, pages, request = self.asked.pop(0)
        magic, op_again, status, *again = struct.unpack("<IBBHQIIQ", self.take(32))
        assert magic == RESPONSE and op_again == op and again == [pages, slab, slot, 0, request], (again, self.asked)
        return status, self.take(pages * PAGE) if op == READ and status == 0 else b""

    def write(self, slab, slot, payload):
        self.send(WRITE, slab, slot, len(payload) // PAGE, payload)
        assert self.answer() == (0, b"")

    def read(self, slab, slot, pages):
        self.send(READ, slab, slot, pages)
        status, found = self.answer()
        assert status == 0, status
        return found

    def refused(self, status, *request, **fields):
        self.send(*request, **fields)
        assert self.answer() == (status, b""), (status, request)
        self.ends()

    def ends(self):
        """Nothing more comes, and the sponsor closes when we have."""
        self.socket.shutdown(socket.SHUT_WR)
        assert self.socket.recv(1) == b""
        self.socket.close()


def wait_until(holds, what):
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def opened(control, demander, port):
    data = Data(port, demander, control.ok("token")["token"])
    assert data.status == 0, data.status
    return data


def refuses_strangers(port, keys):
    wrong = zmq.curve_keypair()[0].decode()
    assert Control(port, wrong).fails_in_handshake()
    assert Control(port, None).fails_in_handshake()
    observer = Control(port, key_file(keys, "sponsor.public"))
    observer.hello(OBSERVER)
    observer.ok("heartbeat")
    assert observer.ok("stats")["demanders"] == 0
    for type, fields in (("allocate", {"bytes": 64 * MIB}), ("token", {}), ("list", {}), ("reset", {}), ("free", {"slab": 1})):
        observer.refused("not_allowed", type, **fields)
    return observer


def greets(control, demander):
    control.refused("hello_first", "heartbeat")
    control.refused("version", "hello", version=2, demander=demander, name="")
    control.refused("unknown_type", "dance")
    for fields in ({}, {"demander": demander}, {"demander": demander.hex(), "name": ""}, {"demander": demander, "name": "n" * 129}):
        control.refused("bad_request", "hello", **fields)
    hello = control.hello(demander)
    assert len(hello["sponsor"]) == len(hello["instance"]) == len(hello["cluster"]) == 16, hello
    assert hello["page_size"] == PAGE and hello["transports"] == ["tcp"] and hello["rdma_port"] == 0, hello
    assert hello["offered_bytes"] == hello["free_bytes"] == 256 * MIB, hello
    assert (hello["slab_bytes_min"], hello["slab_bytes_max"], hello["gone_after_ms"]) == (64 * MIB, 1024 * MIB, 30_000), hello
    assert any(label.startswith("host=") for label in hello["labels"]), hello
    control.refused("bad_request", "hello", demander=uuid.uuid4().bytes, name="")
    return hello


def borrows(control):
    first = control.ok("allocate", bytes=64 * MIB)
    second = control.ok("allocate", bytes=128 * MIB)
    assert first["bytes"] == 64 * MIB and second["bytes"] == 128 * MIB and 0 < first["slab"] < second["slab"], (first, second)
    for wrong in (0, 32 * MIB, 96 * MIB, 2048 * MIB, -1, "64MiB"):
        control.refused("bad_request", "allocate", bytes=wrong)
    control.refused("full", "allocate", bytes=128 * MIB)
    assert control.ok("list")["slabs"] == [{key: slab[key] for key in ("slab", "bytes")} for slab in (first, second)]
    stats = control.ok("stats")
    assert (stats["offered_bytes"], stats["lent_bytes"], stats["free_bytes"], stats["reclaim_bytes"]) == (256 * MIB, 192 * MIB, 64 * MIB, 0), stats
    assert (stats["demanders"], stats["data_connections"], stats["pages_read"], stats["pages_written"]) == (1, 0, 0, 0), stats
    assert stats["requests_refused"] > 0, stats
    control.refused("rdma", "key", slab=first["slab"], domain=1)
    control.refused("no_such_slab", "key", slab=second["slab"] + 1, domain=1)
    control.refused("bad_request", "key", slab=first["slab"], domain=2**32)
    return first["slab"], second["slab"]


def opens(control, demander, port, sponsor):
    """Every way to be refused at the door, and the one that is not."""
    stranger = bytes(32)
    token = control.ok("token")
    assert len(token["token"]) == 32 and token["data_port"] == port and token["valid_ms"] == 10_000, token
    for status, arguments in (
        (3, {"token": stranger}),
        (3, {"demander": uuid.uuid4().bytes}),
        (2, {"version": 2}),
        (1, {"magic": REQUEST}),
        (1, {"kind": 2}),
    ):
        door = Data(port, **{"demander": demander, "token": token["token"], **arguments})
        assert door.status == status and door.sponsor == sponsor, (status, door.status)
        door.ends()
    data = Data(port, demander, token["token"])
    assert data.status == 0 and data.sponsor == sponsor, data.status
    used = Data(port, demander, token["token"])
    assert used.status == 3, used.status

    # Of nine open tokens the first has given way; and a demander has 128 connections.
    tokens = [control.ok("token")["token"] for _ in range(9)]
    assert [Data(port, demander, tokens[i]).status for i in (0, 1, 8)] == [3, 0, 0]
    many = []
    while not many or many[-1].status == 0:
        many.append(Data(port, demander, control.ok("token")["token"]))
        assert len(many) <= 128
    assert many[-1].status == 7, many[-1].status
    for connection in many:
        connection.socket.close()
    wait_until(lambda: control.ok("stats")["data_connections"] == 1, "connections that were closed are still open")
    return data


def moves_pages(control, demander, data, port, slab, slots):
    rng = random.Random(7)
    assert data.read(slab, slots - 256, 256) == bytes(256 * PAGE), "slots that were never written"
    held = {}
    runs = []
    for slot, pages in [(0, 256), (slots - 1, 1)] + [(rng.randrange(256, slots - 512), rng.randrange(1, 257)) for _ in range(20)]:
        payload = rng.randbytes(pages * PAGE)
        runs.append((slot, pages))
        held.update({slot + i: payload[i * PAGE : (i + 1) * PAGE] for i in range(pages)})
        data.write(slab, slot, payload)

    # From another connection; and in flight together, a WRITE among them, answered in the order that they were sent in.
    other = opened(control, demander, port)
    for slot, pages in runs:
        assert other.read(slab, slot, pages) == b"".join(held[slot + i] for i in range(pages)), (slot, pages)
    again = rng.randbytes(3 * PAGE)
    data.send(READ, slab, 10, 1)
    data.send(WRITE, slab, 20, 3, again)
    data.send(READ, slab, 19, 5)
    data.send(READ, slab, slots - 1, 1)
    expected = [held[10], b"", held[19] + again + held[23], held[slots - 1]]
    assert [data.answer() for _ in expected] == [(0, found) for found in expected]
    other.ends()
    written = sum(pages for _, pages in runs) + 3
    stats = control.ok("stats")
    assert stats["pages_written"] == written and stats["pages_read"] == 256 + (written - 3) + 7, stats


def refuses_requests(control, demander, port, slab, slots, foreign):
    page = bytes(PAGE)
    for status, request, fields in (
        (1, (3, slab, 0, 1), {}),
        (1, (0, slab, 0, 1), {}),
        (1, (READ, slab, 0, 1), {"magic": RESPONSE}),
        (1, (READ, slab, 0, 1), {"reserved": (1, 0)}),
        (1, (READ, slab, 0, 1), {"reserved": (0, 1)}),
        (4, (READ, 2**64 - 1, 0, 1), {}),
        (4, (WRITE, foreign, 0, 1, page), {}),
        (5, (READ, slab, slots, 1), {}),
        (5, (WRITE, slab, slots - 1, 2, page * 2), {}),
        (5, (READ, slab, 2**32 - 1, 256), {}),
        (5, (READ, slab, 0, 0), {}),
        (5, (READ, slab, 0, 257), {}),
    ):
        opened(control, demander, port).refused(status, *request, **fields)
    twice = opened(control, demander, port)
    twice.socket.sendall(struct.pack("<IHHII16s32s", OPENING, 1, 1, 0, 0, demander, bytes(32)))
    assert struct.unpack("<IBB", twice.take(32)[:6])[::2] == (RESPONSE, 1)
    twice.ends()


def fences(control, demander, data, port, slab):
    unused = control.ok("token")["token"]
    control.ok("reset")
    assert data.socket.recv(1) == b"", "the reset left a connection open"
    assert Data(port, demander, unused).status == 3
    data = opened(control, demander, port)
    data.write(slab, 0, bytes([9]) * PAGE)
    return data


def asks_back(observer, control, keys, slabs):
    admin = bytes.fromhex(key_file(keys, "sponsor.admin"))
    observer.refused("not_allowed", "offer", bytes=0, key=bytes(32))
    observer.refused("bad_request", "offer", bytes=0, key=admin[1:])
    assert observer.ok("offer", bytes=64 * MIB, key=admin)["lent_bytes"] == 192 * MIB
    stats = control.ok("stats")
    assert (stats["offered_bytes"], stats["free_bytes"], stats["reclaim_bytes"]) == (64 * MIB, 0, 128 * MIB), stats
    control.ok("free", slab=slabs[1])
    control.refused("no_such_slab", "free", slab=slabs[1])
    assert control.ok("stats")["reclaim_bytes"] == 0
    assert observer.ok("offer", bytes=256 * MIB, key=admin)["offered_bytes"] == 256 * MIB


def leaves(control, data, slab):
    control.ok("free", slab=slab)
    data.refused(4, READ, slab, 0, 1)
    control.refused("no_such_slab", "free", slab=slab)
    assert control.ok("list")["slabs"] == [] and control.ok("stats")["lent_bytes"] == 0


def is_known_by_its_key(port, keys, secret):
    """Of a sponsor with a trust file: who is served, how much of it, and what becomes of who says nothing."""
    public = key_file(keys, "sponsor.public")
    demander = uuid.uuid4().bytes
    stranger = Control(port, public)
    stranger.refused("not_trusted", "hello", demander=demander, name="")
    stranger.refused("not_trusted", "dance")
    trusted = Control(port, public, secret)
    hello = trusted.hello(demander)
    assert hello["free_bytes"] == 64 * MIB < hello["offered_bytes"] and hello["gone_after_ms"] == 1000, hello
    trusted.ok("allocate", bytes=64 * MIB)
    trusted.refused("quota", "allocate", bytes=64 * MIB)
    data = opened(trusted, demander, hello["data_port"])

    # As long as it is connected, or beats, it is there.
    observer = Control(port, public, secret)
    observer.hello(OBSERVER)
    end = time.monotonic() + 1.5 * hello["gone_after_ms"] / 1000
    wait_until(lambda: observer.ok("stats")["lent_bytes"] != 64 * MIB or time.monotonic() > end, "")
    assert observer.ok("stats")["lent_bytes"] == 64 * MIB
    trusted.refused("hello_first", "heartbeat")
    assert trusted.hello(demander)["instance"] == hello["instance"] and len(trusted.ok("list")["slabs"]) == 1
    data.ends()
    wait_until(lambda: observer.ok("stats")["lent_bytes"] == 0, "the slabs of a demander that is gone are not freed")
    trusted.refused("hello_first", "list")
    assert trusted.hello(demander)["instance"] == hello["instance"] and trusted.ok("list")["slabs"] == []


def main():
    port, keys, trusting_port, trusting_keys, secret = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
    demander = uuid.uuid4().bytes
    observer = refuses_strangers(port, keys)
    control = Control(port, key_file(keys, "sponsor.public"))
    hello = greets(control, demander)
    slabs = borrows(control)
    control.ok("heartbeat")
    data = opens(control, demander, hello["data_port"], hello["sponsor"])
    moves_pages(control, demander, data, hello["data_port"], slabs[0], 64 * MIB // PAGE)

    other = Control(port, key_file(keys, "sponsor.public"))
    other.hello(uuid.uuid4().bytes)
    foreign = other.ok("allocate", bytes=64 * MIB)["slab"]
    control.refused("no_such_slab", "free", slab=foreign)
    refuses_requests(control, demander, hello["data_port"], slabs[0], 64 * MIB // PAGE, foreign)
    other.ok("free", slab=foreign)

    data = fences(control, demander, data, hello["data_port"], slabs[0])
    asks_back(observer, control, keys, slabs)
    leaves(control, data, slabs[0])
    is_known_by_its_key(trusting_port, trusting_keys, secret)


main()
