package sessions

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A key is the account, a slash, the kind, and what it is of. Client IDs, filters
// and topics may be longer than a key of badger: their hashes stand for them, and
// the value has the name itself.
const (
	kindSession      = 's' // + client
	kindSubscription = 'f' // + client + filter
	kindMessage      = 'm' // + client + packet identifier: on its way to the client
	kindReceived     = 'q' // + client + packet identifier: a QoS 2 message of the client
	kindRetained     = 't' // + topic
)

// digest stands for a name in keys: 128 bits, enough that nobody finds the one
// of another's name.
type digest [16]byte

func digestOf(name string) (d digest) {
	sum := sha256.Sum256([]byte(name))
	copy(d[:], sum[:])
	return d
}

func (h *Hook) key(kind byte, of digest, more ...byte) []byte {
	k := make([]byte, 0, len(h.prefix)+1+len(of)+len(more))
	k = append(k, h.prefix...)
	k = append(k, kind)
	k = append(k, of[:]...)
	return append(k, more...)
}

func (h *Hook) idKey(kind byte, of digest, id uint16) []byte {
	return h.key(kind, of, byte(id>>8), byte(id))
}

func (h *Hook) filterKey(of digest, filter string) []byte {
	f := digestOf(filter)
	return h.key(kindSubscription, of, f[:]...)
}

// sessionRecord is what is stored of a session itself.
type sessionRecord struct {
	ClientID string `json:"id"`
	Lasts    uint32 `json:"lasts"`          // seconds beyond its connection
	Gone     int64  `json:"gone,omitempty"` // when that ended, Unix seconds; 0 while it is open
}

// subscriptionRecord is a subscription of a session.
type subscriptionRecord struct {
	Filter            string `json:"filter"`
	Identifier        int    `json:"id,omitempty"`
	QoS               byte   `json:"qos"`
	RetainHandling    byte   `json:"handling,omitempty"`
	RetainAsPublished bool   `json:"published,omitempty"`
	NoLocal           bool   `json:"nolocal,omitempty"`
}

func recordOf(s packets.Subscription) subscriptionRecord {
	return subscriptionRecord{
		Filter: s.Filter, Identifier: s.Identifier, QoS: s.Qos, RetainHandling: s.RetainHandling,
		RetainAsPublished: s.RetainAsPublished, NoLocal: s.NoLocal,
	}
}

func (r subscriptionRecord) subscription() packets.Subscription {
	return packets.Subscription{
		Filter: r.Filter, Identifier: r.Identifier, Qos: r.QoS, RetainHandling: r.RetainHandling,
		RetainAsPublished: r.RetainAsPublished, NoLocal: r.NoLocal,
	}
}

// encodeJSON is for records of ours, which JSON takes.
func encodeJSON(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("sessions: %T: %v", record, err))
	}
	return b
}

// The forms of a message in the store.
const (
	formPublish = 1 // a PUBLISH
	formRelease = 2 // PUBREC came for it, PUBREL goes out
)

// header of a stored message: form, order, created, expiry, version of its
// publisher's protocol.
const headerSize = 1 + 8 + 8 + 8 + 1

var errRecord = errors.New("a record that this program cannot read")

// encodeMessage writes a PUBLISH with what mochi knows of it besides. The packet
// itself is in the form of MQTT 5, which has room for everything.
func encodeMessage(pk packets.Packet, order uint64) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, headerSize+64+len(pk.TopicName)+len(pk.Payload)))
	var head [headerSize]byte
	head[0] = formPublish
	binary.BigEndian.PutUint64(head[1:], order)
	binary.BigEndian.PutUint64(head[9:], uint64(pk.Created))
	binary.BigEndian.PutUint64(head[17:], uint64(expiryOf(pk)))
	head[25] = pk.ProtocolVersion
	b.Write(head[:])
	b.Write(binary.AppendUvarint(nil, uint64(len(pk.Origin))))
	b.WriteString(pk.Origin)
	pk.ProtocolVersion, pk.PacketID = 5, 1          // which the key has; what is retained has none
	pk.Mods = packets.Mods{AllowResponseInfo: true} // or the response topic would be left out
	if err := pk.PublishEncode(b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encodeRelease writes what is left of a message once PUBREC came.
func encodeRelease(order uint64) []byte {
	b := make([]byte, 9)
	b[0] = formRelease
	binary.BigEndian.PutUint64(b[1:], order)
	return b
}

// expiryOf undoes the mark that mochi puts in place of the expiry of a message
// that waits for the client to take more.
func expiryOf(pk packets.Packet) int64 {
	if pk.Expiry >= 0 {
		return pk.Expiry
	}
	if pk.Properties.MessageExpiryInterval == 0 {
		return 0
	}
	return pk.Created + int64(pk.Properties.MessageExpiryInterval)
}

// decodeMessage reads what encodeMessage or encodeRelease wrote. The packet of the
// latter has no identifier: that is in the key.
func decodeMessage(b []byte) (pk packets.Packet, order uint64, err error) {
	if len(b) == 9 && b[0] == formRelease {
		pk.FixedHeader = packets.FixedHeader{Type: packets.Pubrel, Qos: 1}
		return pk, binary.BigEndian.Uint64(b[1:]), nil
	}
	if len(b) < headerSize+1 || b[0] != formPublish {
		return pk, 0, errRecord
	}
	order = binary.BigEndian.Uint64(b[1:])
	created, expiry := int64(binary.BigEndian.Uint64(b[9:])), int64(binary.BigEndian.Uint64(b[17:]))
	version, rest := b[25], b[headerSize:]
	n, width := binary.Uvarint(rest)
	if width <= 0 || n > uint64(len(rest)-width) {
		return pk, 0, errRecord
	}
	origin, rest := string(rest[width:width+int(n)]), rest[width+int(n):]
	if pk, err = decodePublish(rest); err != nil {
		return pk, 0, err
	}
	pk.Created, pk.Expiry, pk.ProtocolVersion, pk.Origin = created, expiry, version, origin
	return pk, order, nil
}

func decodePublish(b []byte) (pk packets.Packet, err error) {
	if len(b) < 2 {
		return pk, errRecord
	}
	if err := pk.FixedHeader.Decode(b[0]); err != nil || pk.FixedHeader.Type != packets.Publish {
		return pk, errors.Join(errRecord, err)
	}
	r := bytes.NewReader(b[1:])
	n, _, err := packets.DecodeLength(r)
	if err != nil || n != r.Len() {
		return pk, errors.Join(errRecord, err)
	}
	pk.FixedHeader.Remaining, pk.ProtocolVersion = n, 5
	defer func() {
		if recover() != nil { // mochi's decoder on bytes that end early
			err = errRecord
		}
	}()
	err = pk.PublishDecode(bytes.Clone(b[len(b)-n:]))
	return pk, err
}
