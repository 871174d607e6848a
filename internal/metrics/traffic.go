package metrics

import "github.com/prometheus/client_golang/prometheus"

// Traffic is what the MQTT servers of all accounts together have seen. Those of
// received, sent and dropped count since the start, the others tell of now.
type Traffic struct {
	PacketsReceived, PacketsSent   int64
	BytesReceived, BytesSent       int64
	MessagesReceived, MessagesSent int64

	Connected       int64
	Away            int64
	Subscriptions   int64
	Retained        int64
	Inflight        int64
	InflightDropped int64
}

// Traffic has each scrape ask for the figures of MQTT. They have no label for
// the account: accounts are made by operators, and there may be many. It may be
// called once.
func (m *Metrics) Traffic(now func() Traffic) {
	const total, current = prometheus.CounterValue, prometheus.GaugeValue
	figures := []struct {
		reading
		of func(Traffic) int64
	}{
		{reads(total, "muster_mqtt_packets_received_total", "MQTT packets from clients."), func(t Traffic) int64 { return t.PacketsReceived }},
		{reads(total, "muster_mqtt_packets_sent_total", "MQTT packets to clients."), func(t Traffic) int64 { return t.PacketsSent }},
		{reads(total, "muster_mqtt_received_bytes_total", "Bytes of MQTT from clients."), func(t Traffic) int64 { return t.BytesReceived }},
		{reads(total, "muster_mqtt_sent_bytes_total", "Bytes of MQTT to clients."), func(t Traffic) int64 { return t.BytesSent }},
		{reads(total, "muster_mqtt_messages_received_total", "PUBLISH packets from clients."), func(t Traffic) int64 { return t.MessagesReceived }},
		{reads(total, "muster_mqtt_messages_sent_total", "PUBLISH packets to clients."), func(t Traffic) int64 { return t.MessagesSent }},
		{reads(total, "muster_mqtt_inflight_dropped_total", "Messages of QoS 1 and 2 that were given up before they were acknowledged."), func(t Traffic) int64 { return t.InflightDropped }},
		{reads(current, "muster_mqtt_inflight_messages", "Messages of QoS 1 and 2 that are not acknowledged yet."), func(t Traffic) int64 { return t.Inflight }},
		{reads(current, "muster_mqtt_retained_messages", "Messages that clients had retained."), func(t Traffic) int64 { return t.Retained }},
		{reads(current, "muster_mqtt_subscriptions", "Subscriptions, those of clients that are away too."), func(t Traffic) int64 { return t.Subscriptions }},
	}
	sessions := reads(current, "muster_mqtt_sessions", "Sessions, of clients that are connected and of those that are away.", "state")
	all := []reading{sessions}
	for _, f := range figures {
		all = append(all, f.reading)
	}
	register(m.registry, readings{all, func(tell emit) {
		t := now()
		for _, f := range figures {
			tell(f.reading, float64(f.of(t)))
		}
		tell(sessions, float64(t.Connected), "connected")
		tell(sessions, float64(t.Away), "away")
	}})
}
