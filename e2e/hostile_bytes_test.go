package e2e_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
)

// hostile makes sessions of MQTT that begin as good ones and are then spoilt.
// One seed makes one session.
type hostile struct {
	*rand.Rand
	version byte // 4 or 5
}

// hostileClients is how many client IDs they fight over.
const hostileClients = 16

// session returns what a client sends, packet by packet.
func (h *hostile) session() [][]byte {
	all := [][]byte{h.connect()}
	for range 1 + h.IntN(12) {
		all = append(all, h.packet())
	}
	for range h.IntN(4) {
		all = h.spoil(all)
	}
	return all
}

func frame(first byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

// properties are those of version 5, where there are any; of 3.1.1, nothing.
func (h *hostile) properties(some ...[]byte) []byte {
	if h.version < 5 {
		return nil
	}
	var body []byte
	for _, p := range some {
		if h.IntN(4) == 0 {
			body = append(body, p...)
		}
	}
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}

func (h *hostile) connect() []byte {
	flags := []byte{0x02, 0x00, 0x06, 0x26, 0x0E, 0x16, 0xC2}[h.IntN(7)]
	parts := [][]byte{text("MQTT"), {h.version, flags, 0, byte(h.IntN(256))},
		h.properties([]byte{0x11, 0, 0, 0, 60}, []byte{0x21, 0, 3}, []byte{0x27, 0, 0, 1, 0}, []byte{0x22, 0, 9}, []byte{0x17, 0},
			slices.Concat([]byte{0x26}, text("a"), text("b")), slices.Concat([]byte{0x15}, text("PLAIN"))),
		text(fmt.Sprintf("hostile-%d", h.IntN(hostileClients)))}
	if flags&0x04 != 0 {
		parts = append(parts, h.properties([]byte{0x18, 0, 0, 0, 1}), text(h.topic()), text("will"))
	}
	if flags&0x80 != 0 {
		parts = append(parts, text("user"), text("word"))
	}
	return frame(0x10, parts...)
}

func (h *hostile) topic() string {
	if h.IntN(4) > 0 {
		return fmt.Sprintf("hostile/%d", h.IntN(8))
	}
	return []string{"", "$aws/events/presence/connected/good-0", "$SYS/broker/uptime", "$share/g/hostile/1", "good/good-0", "hostile/+", "a\x00b", "hostile/\xC3\x28"}[h.IntN(8)]
}

func (h *hostile) filter() string {
	return []string{"hostile/#", "hostile/+", "hostile/1", "#", "+/+", "$share/g/hostile/#", "$share//hostile/1", "$SHARE/g/hostile/+",
		"$share/+/hostile/1", "$share/g", "$SYS/#", "$aws/events/#", "good/#", "", "a#", "hostile/\xED\xA0\x80"}[h.IntN(16)]
}

func (h *hostile) id() []byte { return binary.BigEndian.AppendUint16(nil, uint16(h.IntN(6))) }

// packet is one that a client may send, or one that it may not.
func (h *hostile) packet() []byte {
	switch h.IntN(10) {
	case 0, 1:
		return frame(0x82, h.id(), h.properties([]byte{0x0B, byte(h.IntN(3))}), text(h.filter()), []byte{byte(h.IntN(3))}, text(h.filter()), []byte{byte(h.IntN(64))})
	case 2, 3, 4:
		return h.publish()
	case 5:
		return frame(0xA2, h.id(), h.properties(), text(h.filter()))
	case 6:
		return frame([]byte{0x40, 0x50, 0x62, 0x70}[h.IntN(4)], h.id())
	case 7:
		return frame(0xC0)
	case 8:
		return h.worst()
	}
	return frame(byte(h.IntN(256)), h.garbage(h.IntN(20)))
}

func (h *hostile) publish() []byte {
	qos := byte(h.IntN(3))
	parts := [][]byte{text(h.topic())}
	if qos > 0 {
		parts = append(parts, h.id())
	}
	size := h.IntN(200)
	if h.IntN(20) == 0 {
		size = h.IntN(32 << 10)
	}
	parts = append(parts, h.properties([]byte{0x23, 0, byte(h.IntN(40))}, []byte{0x01, 1}, []byte{0x02, 0, 0, 0, 1},
		slices.Concat([]byte{0x08}, text("answer/+")), []byte{0x0B, 1}), h.garbage(size))
	return frame(0x30|qos<<1|byte(h.IntN(2))|byte(h.IntN(2))<<3, parts...)
}

// worst is what is known to have hurt brokers.
func (h *hostile) worst() []byte {
	return [][]byte{
		{0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00}, // ends before its options
		{0x30, 0xFF, 0xFF, 0xFF, 0x7F},             // 256 MB
		{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
		h.connect(),
		{0xF0, 0x02, 0x18, 0x00},
		frame(0xE0, []byte{0x04, 0x05, 0x11, 0xFF, 0xFF, 0xFF, 0xFF}),
		frame(0x36, text("hostile/1"), h.id()),
		{0x00, 0x00},
	}[h.IntN(8)]
}

func (h *hostile) garbage(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.Uint32())
	}
	return b
}

// spoil changes a session in one place: its bytes, its lengths, or its order.
func (h *hostile) spoil(all [][]byte) [][]byte {
	i := h.IntN(len(all))
	p := slices.Clone(all[i])
	switch h.IntN(8) {
	case 0:
		p[h.IntN(len(p))] ^= 1 << h.IntN(8)
	case 1:
		p[h.IntN(len(p))] = byte(h.Uint32())
	case 2:
		p = p[:h.IntN(len(p))]
	case 3:
		p[min(1, len(p)-1)] = byte(h.Uint32()) // its length
	case 4:
		at := h.IntN(len(p) + 1)
		p = slices.Insert(p, at, h.garbage(1+h.IntN(8))...)
	case 5:
		return append(all, p)
	case 6:
		j := h.IntN(len(all))
		all[i], all[j] = all[j], all[i]
		return all
	case 7:
		p = h.worst()
	}
	if len(p) == 0 {
		p = []byte{0}
	}
	all[i] = p
	return all
}
