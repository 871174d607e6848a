package sessions

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

func nowUnix() int64 { return time.Now().Unix() }

// restoring brings back what is stored of an account.
type restoring struct {
	*Hook
	now      int64
	seen     int64 // when the last server was last alive
	sessions map[digest]*session
	gone     *badger.WriteBatch // deletes what is over, and notes since when sessions are away
}

// Init brings back what is stored. mochi calls it when the hook is added.
func (h *Hook) Init(any) error {
	if h.store.db == nil {
		return nil
	}
	r := &restoring{
		Hook: h, now: nowUnix(), seen: h.store.seen.Unix(), sessions: map[digest]*session{}, gone: h.store.db.NewWriteBatch(),
	}
	defer r.gone.Cancel()
	// Clients that are away send nothing, and need no queue for it.
	c := h.server.Options.Capabilities
	queue := c.MaximumClientWritesPending
	c.MaximumClientWritesPending = 0
	err := r.all()
	c.MaximumClientWritesPending = queue
	if err == nil {
		err = r.gone.Flush()
	}
	if err != nil {
		return fmt.Errorf("sessions: the store in %s cannot be read: move the folder away to start without the sessions "+
			"and retained messages in it (the registry is not concerned): %w", h.store.dir, err)
	}
	return nil
}

func (r *restoring) all() error {
	for _, k := range []struct {
		kind byte
		take func(key, value []byte) (stands bool, err error)
	}{
		{kindSession, r.session}, {kindSubscription, r.subscription}, {kindMessage, r.message},
		{kindReceived, r.receipt}, {kindRetained, r.retain},
	} {
		if err := r.each(k.kind, k.take); err != nil {
			return err
		}
	}
	atomic.StoreInt64(&r.server.Info.Retained, int64(r.server.Topics.Retained.Len()))
	return nil
}

// each goes through the records of a kind and deletes those that do not stand any
// more. take gets the key without its prefix; neither slice is its own.
func (r *restoring) each(kind byte, take func(key, value []byte) (bool, error)) error {
	prefix := append([]byte(r.prefix), kind)
	return r.store.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = prefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			var stands bool
			err := it.Item().Value(func(v []byte) (err error) {
				stands, err = take(it.Item().Key()[len(prefix):], v)
				return err
			})
			if err == nil && !stands {
				err = r.gone.Delete(it.Item().KeyCopy(nil))
			}
			if err != nil {
				return fmt.Errorf("record %x: %w", it.Item().Key(), err)
			}
		}
		return nil
	})
}

// session brings a client back as one that is away. Its time runs since its
// connection ended, or the server did. That is for mochi to watch, which knows
// terms of single clients in MQTT 5 alone: so it is one of those, until it
// connects.
func (r *restoring) session(_, v []byte) (bool, error) {
	var rec sessionRecord
	if err := json.Unmarshal(v, &rec); err != nil {
		return false, err
	}
	gone := rec.Gone
	if gone == 0 {
		gone = min(r.seen, r.now)
	}
	left := min(gone, r.now) + int64(rec.Lasts) - r.now
	if left <= 0 {
		return false, nil
	}
	cl := r.server.NewClient(nil, "", rec.ClientID, false)
	cl.Properties.ProtocolVersion = 5
	cl.Properties.Props.SessionExpiryInterval, cl.Properties.Props.SessionExpiryIntervalFlag = uint32(left), true
	cl.Stop(packets.ErrServerShuttingDown)
	s := newSession(rec.ClientID)
	s.client.Store(cl)
	s.kept, s.connected, s.lasts = true, true, rec.Lasts
	r.sessions[s.digest] = s
	r.Hook.sessions.Store(s.id, s)
	r.count.Add(1)
	r.server.Clients.Add(cl)
	if rec.Gone == 0 { // or each start would give it all its time again
		o := r.record(s, gone)
		return true, r.gone.Set(o.key, o.value)
	}
	return true, nil
}

// of returns the session that a key belongs to.
func (r *restoring) of(k []byte, size int) (*session, error) {
	if len(k) != len(digest{})+size {
		return nil, errRecord
	}
	return r.sessions[digest(k[:len(digest{})])], nil
}

func (r *restoring) subscription(k, v []byte) (bool, error) {
	s, err := r.of(k, len(digest{}))
	if s == nil {
		return false, err
	}
	var rec subscriptionRecord
	if err := json.Unmarshal(v, &rec); err != nil {
		return false, err
	}
	sub, cl := rec.subscription(), s.client.Load()
	if r.server.Topics.Subscribe(cl.ID, sub) {
		atomic.AddInt64(&r.server.Info.Subscriptions, 1)
	}
	cl.State.Subscriptions.Add(sub.Filter, sub)
	s.filters[sub.Filter] = struct{}{}
	return true, nil
}

func (r *restoring) message(k, v []byte) (bool, error) {
	s, err := r.of(k, 2)
	if s == nil {
		return false, err
	}
	pk, order, err := decodeMessage(v)
	if err != nil {
		return false, err
	}
	if pk.Expiry > 0 && pk.Expiry < r.now {
		return false, nil
	}
	pk.PacketID = binary.BigEndian.Uint16(k[len(digest{}):])
	if pk.Created == 0 {
		pk.Created = r.now
	}
	s.client.Load().State.Inflight.Set(pk)
	atomic.AddInt64(&r.server.Info.Inflight, 1)
	m := &message{order: order, size: perMessage + len(v), released: pk.FixedHeader.Type == packets.Pubrel}
	s.messages[pk.PacketID] = m
	r.waiting.Add(int64(m.size))
	if order > r.order.Load() {
		r.order.Store(order)
	}
	return true, nil
}

func (r *restoring) receipt(k, _ []byte) (bool, error) {
	s, err := r.of(k, 2)
	if s == nil {
		return false, err
	}
	s.received[binary.BigEndian.Uint16(k[len(digest{}):])] = struct{}{}
	return true, nil
}

func (r *restoring) retain(_, v []byte) (bool, error) {
	pk, _, err := decodeMessage(v)
	if err != nil {
		return false, err
	}
	if pk.Expiry > 0 && pk.Expiry < r.now {
		return false, nil
	}
	r.server.Topics.RetainMessage(pk)
	r.retained.topics[pk.TopicName] = struct{}{}
	return true, nil
}

var _ mqtt.Hook = (*Hook)(nil)
