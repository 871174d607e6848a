"""What MQTT promises, asked for by paho-mqtt, one scenario after another.

usage: paho_matrix.py tcp|websockets 4|5 HOST:PORT ROOTS CERT KEY OTHER_CERT OTHER_KEY [SCENARIO...]

Prints "ok NAME" or "failed NAME: why" for each scenario of the protocol version,
or for those that are named. The server shall be new. The second certificate may connect only as the client "narrow".
"""

import queue
import sys
import time
import traceback

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

TRANSPORT, VERSION, ADDRESS, ROOTS = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
WIDE, NARROW = sys.argv[5:7], sys.argv[7:9]
HOST, PORT = ADDRESS.rsplit(":", 1)
PATIENCE = 15
V5 = VERSION == 5


def properties(kind, **values):
    p = Properties(kind)
    for name, value in values.items():
        setattr(p, name, value)
    return p


def publishing(**values):
    return properties(PacketTypes.PUBLISH, **values)


def number(code):
    """A reason code of MQTT 5, or a return code of 3.1.1."""
    return getattr(code, "value", code)


def equal(got, want, what="it"):
    if got != want:
        raise AssertionError(f"{what} is {got!r}, want {want!r}")


class Peer:
    """A client that waits for what it asked for."""

    def __init__(self, name, keep=0, clean=True, will=None, pair=WIDE, refused=False, connect=None):
        version = {4: mqtt.MQTTv311, 5: mqtt.MQTTv5}[VERSION]
        c = mqtt.Client(name, clean_session=None if V5 else clean and not keep, protocol=version, transport=TRANSPORT)
        c.tls_set(ROOTS, pair[0], pair[1])
        if TRANSPORT == "websockets":
            c.ws_set_options(path="/mqtt")
        self.client, self.name, self.ended = c, name, False
        self.acks, self.messages, self.ends = queue.Queue(), queue.Queue(), queue.Queue()
        c.on_connect = lambda c, u, flags, rc, p=None: self.acks.put((flags["session present"], number(rc), p))
        c.on_subscribe = lambda c, u, mid, codes, p=None: self.acks.put([number(x) for x in codes])
        c.on_unsubscribe = lambda *rest: self.acks.put("unsubscribed")
        c.on_message = lambda c, u, m: self.messages.put(m)
        c.on_disconnect = lambda c, u, rc, p=None: self.ends.put(number(rc))
        if will:
            c.will_set(**will)
        more = {}
        if V5:
            connect = dict(connect or {})
            if keep:
                connect["SessionExpiryInterval"] = keep
            more = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, **connect)}
        c.connect(HOST, int(PORT), 60, **more)
        c.loop_start()
        self.present, self.code, self.granted = self.acks.get(timeout=PATIENCE)
        if not refused:
            equal(self.code, 0, "the code of CONNACK")

    def subscribe(self, topic, qos=1, **options):
        given = options.pop("properties", None)
        if V5:
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options), properties=given)
        else:
            self.client.subscribe(topic, qos)
        equal(self.acks.get(timeout=PATIENCE), [qos], "SUBACK of " + topic)
        return self

    def publish(self, topic, payload="x", qos=1, retain=False, **values):
        p = publishing(**values) if values else None
        info = self.client.publish(topic, payload, qos, retain, properties=p)
        info.wait_for_publish(PATIENCE)
        equal(info.is_published(), True, "the acknowledgement of " + topic)

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def heard(self):
        """The messages so far: up to one that it sends to itself."""
        mark = "mark/" + self.name
        self.subscribe(mark)
        self.publish(mark)
        found = []
        while True:
            m = self.next()
            if m.topic == mark:
                return found
            found.append(m)

    def leave(self, **how):
        if not self.ended:
            self.ended = True
            self.client.disconnect(**how)
            self.ends.get(timeout=PATIENCE)
            self.client.loop_stop()

    def cut(self):
        """Loses the connection without a word."""
        self.ended = True
        self.client.loop_stop()
        self.client._sock_close()


def topics(messages):
    return [m.topic for m in messages]


def wildcards(a, b):
    a.subscribe("w/+/x").subscribe("w/deep/#").subscribe("w/exact")
    for topic in ["w/1/x", "w/1/y", "w/deep", "w/deep/1/2", "w/deepest", "w/exact", "w/exact/not", "w"]:
        b.publish(topic)
    equal(sorted(topics(a.heard())), ["w/1/x", "w/deep", "w/deep/1/2", "w/exact"])


def unsubscribe(a, b):
    a.subscribe("u/x")
    a.client.unsubscribe("u/x")
    equal(a.acks.get(timeout=PATIENCE), "unsubscribed")
    b.publish("u/x")
    equal(topics(a.heard()), [])


def qos(a, b):
    for granted in range(3):
        a.subscribe(f"q/{granted}", granted)
        for sent in range(3):
            b.publish(f"q/{granted}", f"{sent}", sent)
            m = a.next()
            equal((m.payload, m.qos, m.dup), (b"%d" % sent, min(granted, sent), False), f"{sent} to {granted}")


def retained(a, b):
    a.subscribe("r/#")
    b.publish("r/x", "1", retain=True)
    equal(a.next().retain, False, "retain of what is new")
    late = Peer("late")
    late.subscribe("r/+")
    m = late.next()
    equal((m.payload, m.retain), (b"1", True), "what was retained")
    b.publish("r/x", "", retain=True)
    equal(late.next().payload, b"", "what clears it")
    late.leave()
    later = Peer("later").subscribe("r/#")
    equal(topics(later.heard()), [], "what is retained no more")
    later.leave()


def will(a, b):
    a.subscribe("gone/#")
    said = dict(topic="gone/c", payload="c", qos=1, retain=False)
    Peer("c", will=said).leave()
    Peer("c", will=dict(said, payload="cut")).cut()
    equal(a.next().payload, b"cut", "the will")


def session(a, b):
    c = Peer("kept", keep=3600)
    equal(c.present, False, "session present")
    c.subscribe("s/#", 2)
    c.leave()
    want = [(b"%d" % i, 1 + i % 2) for i in range(10)]
    for payload, q in want:
        b.publish("s/x", payload, q)
    c = Peer("kept", keep=3600, clean=False)
    equal(c.present, True, "session present")
    got = [(m.payload, m.qos) for m in (c.next() for _ in want)]
    equal(topics(c.heard()), [])
    for q in (1, 2):  # order is promised within one QoS
        equal([m for m in got if m[1] == q], [m for m in want if m[1] == q], "what waited")
    c.leave()
    c = Peer("kept", clean=True)
    equal(c.present, False, "session present after a clean start")
    b.publish("s/x")
    equal(topics(c.heard()), [])
    c.leave()


def shared(a, b):
    group = [Peer(f"worker-{i}").subscribe("$share/g/sh/#") for i in range(2)]
    for i in range(20):
        b.publish(f"sh/{i}")
    got = [topics(worker.heard()) for worker in group]
    equal(sorted(got[0] + got[1]), sorted(f"sh/{i}" for i in range(20)))
    if not got[0] or not got[1]:
        raise AssertionError("one worker got all")
    for worker in group:
        worker.leave()


def large(a, b):
    a.subscribe("large")
    payload = bytes(range(256)) * 1000  # of 262,144 bytes that a packet may have
    for q in range(3):
        b.publish("large", payload, q)
        equal(a.next().payload == payload, True, f"the payload by QoS {q}")


def too_large(a, b):
    a.subscribe("large")
    c = Peer("too-large")
    c.client.publish("large", b"x" * 263_000, 0)
    patience = time.monotonic() + PATIENCE
    while c.ends.empty() and c.client._thread.is_alive():  # the thread may die of a reset
        equal(time.monotonic() < patience, True, "the end in time")
        time.sleep(0.05)
    code = None if c.ends.empty() else c.ends.get()
    c.cut()
    if V5 and code not in (None, mqtt.MQTT_ERR_CONN_LOST):  # a reset may overtake it
        equal(code, 0x95, "the code of DISCONNECT")
    equal(topics(a.heard()), [])


def refused(a, b):
    c = Peer("another", pair=NARROW, refused=True)
    equal(c.code, 0x87 if V5 else 5, "the code of CONNACK")
    if V5:
        equal(c.granted.ReasonString.startswith("policy_denied: "), True, c.granted.ReasonString)
    c.cut()
    Peer("narrow", pair=NARROW).leave()


def taken_over(a, b):
    c = Peer("twice")
    d = Peer("twice")
    code = c.ends.get(timeout=PATIENCE)
    c.cut()
    if V5:
        equal(code, 0x8E, "the code of DISCONNECT")
    d.publish("x")
    d.leave()


def order(a, b):
    a.subscribe("o", 2)
    for i in range(300):
        b.client.publish("o", str(i), i % 3)
    got = [int(a.next().payload) for _ in range(300)]
    for q in range(3):  # order is promised within one QoS (4.6)
        equal([i for i in got if i % 3 == q], list(range(q, 300, 3)), f"the order of QoS {q}")


def no_client_id(a, b):
    c = Peer("")
    if V5:
        equal(len(c.granted.AssignedClientIdentifier) > 0, True, "an assigned client ID")
    c.publish("x")
    c.leave()


def retain_options(a, b):
    b.publish("ro/x", "1", retain=True)
    a.subscribe("ro/x", retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    equal(topics(a.heard()), [], "with handling 2")
    a.subscribe("ro/x", retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
    equal(topics(a.heard()), [], "with handling 1, known")
    a.subscribe("ro/+", retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB, retainAsPublished=True)
    equal(topics(a.heard()), ["ro/x"], "with handling 1, new")
    c = Peer("as-published").subscribe("ro/y", retainAsPublished=True)
    b.publish("ro/y", "2", retain=True)
    equal(c.next().retain, True, "retain as published")
    c.leave()


def no_local(a, b):
    a.subscribe("nl", noLocal=True)
    a.publish("nl", "own")
    b.publish("nl", "other")
    equal([m.payload for m in a.heard()], [b"other"])


def will_delay(a, b):
    a.subscribe("later/#")
    said = dict(topic="later/c", payload="c", qos=1, properties=properties(PacketTypes.WILLMESSAGE, WillDelayInterval=2))
    Peer("c", keep=60, will=said).cut()
    Peer("c", clean=False).leave()  # back in time
    equal(topics(a.heard()), [], "the will of who came back")
    Peer("d", keep=60, will=said).cut()
    equal(a.next().payload, b"c", "the will")


def will_with_disconnect(a, b):
    a.subscribe("bye/#")
    c = Peer("c", will=dict(topic="bye/c", payload="c", qos=1))
    c.leave(reasoncode=mqtt.ReasonCodes(PacketTypes.DISCONNECT, "Disconnect with will message"),
            properties=properties(PacketTypes.DISCONNECT, ReasonString="low battery"))
    equal(a.next().payload, b"c", "the will")


def session_expiry(a, b):
    c = Peer("brief", keep=1)
    c.subscribe("e/#")
    c.leave()
    time.sleep(4)  # away for longer than the session lasts
    c = Peer("brief", keep=1, clean=False)
    equal(c.present, False, "session present")
    c.leave()


def topic_alias(a, b):
    a.subscribe("alias/x")
    for topic, payload in [("alias/x", "1"), ("", "2"), ("", "3")]:
        b.publish(topic, payload, TopicAlias=1)
    b.publish("elsewhere", "4", TopicAlias=1)
    b.publish("", "5", TopicAlias=1)
    equal([(m.topic, m.payload) for m in a.heard()], [("alias/x", b"1"), ("alias/x", b"2"), ("alias/x", b"3")])


def user_properties(a, b):
    a.subscribe("up")
    pairs = [("site", "north"), ("site", "south"), ("größe", "µ")]
    b.publish("up", UserProperty=pairs, ContentType="text/plain", PayloadFormatIndicator=1)
    p = a.next().properties
    equal((p.UserProperty, p.ContentType, p.PayloadFormatIndicator), (pairs, "text/plain", 1))


def request_response(a, b):
    a.subscribe("service/double")
    b.subscribe("answers/b")
    b.publish("service/double", "21", ResponseTopic="answers/b", CorrelationData=b"\x00\xff1")
    m = a.next()
    a.publish(m.properties.ResponseTopic, str(2 * int(m.payload)), CorrelationData=m.properties.CorrelationData)
    m = b.next()
    equal((m.payload, m.properties.CorrelationData), (b"42", b"\x00\xff1"))


def message_expiry(a, b):
    c = Peer("waits", keep=60)
    c.subscribe("me/#")
    c.leave()
    b.publish("me/brief", MessageExpiryInterval=1)
    b.publish("me/long", MessageExpiryInterval=600)
    b.publish("me/kept", MessageExpiryInterval=600, retain=True)
    time.sleep(4)  # longer than the first message lasts
    c = Peer("waits", keep=60, clean=False)
    left = {m.topic: m.properties.MessageExpiryInterval for m in c.heard()}
    c.leave()
    equal(sorted(left), ["me/kept", "me/long"], "what did not expire")
    for topic, seconds in left.items():  # [MQTT-3.3.2-6]
        equal(590 <= seconds < 600, True, f"the rest of {topic}, {seconds} s,")


def subscription_identifier(a, b):
    a.subscribe("si/+", properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7))
    b.publish("si/x")
    equal(a.next().properties.SubscriptionIdentifier, [7])


def small_client(a, b):
    c = Peer("small", connect={"MaximumPacketSize": 500})
    c.subscribe("size/#")
    for topic, n in [("size/1", 100), ("size/2", 1000), ("size/3", 100)]:
        b.publish(topic, b"x" * n)
    equal(topics(c.heard()), ["size/1", "size/3"])  # [MQTT-3.1.2-25]
    c.leave()


def receive_maximum(a, b):
    c = Peer("slow", connect={"ReceiveMaximum": 1})
    c.subscribe("rm", 2)
    for i in range(20):
        b.publish("rm", str(i), 1 + i % 2)
    equal(sorted(int(c.next().payload) for _ in range(20)), list(range(20)))
    equal(topics(c.heard()), [])
    c.leave()


BOTH = [wildcards, unsubscribe, qos, retained, will, session, shared, large, too_large, refused, taken_over, order, no_client_id]
ONLY5 = [retain_options, no_local, will_delay, will_with_disconnect, session_expiry, topic_alias, user_properties,
         request_response, message_expiry, subscription_identifier, small_client, receive_maximum]


def main():
    for scenario in BOTH + (ONLY5 if V5 else []):
        if sys.argv[9:] and scenario.__name__ not in sys.argv[9:]:
            continue
        peers = []
        try:
            for name in ["a", "b"]:
                peers.append(Peer(name))
            scenario(*peers)
            print("ok", scenario.__name__, flush=True)
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[1:]
            lines = ",".join(str(f.lineno) for f in where if f.filename == __file__)
            print(f"failed {scenario.__name__}: {type(e).__name__} {e} (line {lines})", flush=True)
        for p in peers:
            p.cut()


main()
