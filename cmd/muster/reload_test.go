package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/config"
)

// TestAdoptable: what takes force while the server runs are keys that exist, and
// the table of the manual names them.
func TestAdoptable(t *testing.T) {
	want := []string{
		"api.certificate", "api.key", "api.requests_per_key", "limits.connections", "limits.connects", "limits.connects_per_address",
		"limits.connects_per_authority", "limits.handshakes", "limits.registrations", "log.level",
		"mqtt.certificate", "mqtt.drain", "mqtt.key",
	}
	var got []string
	for _, row := range config.Table() {
		if adoptable(row.Key) {
			got = append(got, row.Key)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("adoptable are %v, want %v", got, want)
	}
}

// TestRoom: connections never take the descriptors that the registry needs.
func TestRoom(t *testing.T) {
	for descriptors, want := range map[int]int{0: 1, 64: 32, 1024: 512, 2048: 1024, 20_000: 18_976, 131_072: 130_048} {
		if got := room(descriptors); got != want {
			t.Errorf("of %d descriptors connections may have %d, want %d", descriptors, got, want)
		}
	}
	for descriptors, want := range map[int]int{0: 1, 1024: 256, 2048: 512, 131_072: 512} {
		if got := callers(descriptors); got != want {
			t.Errorf("of %d descriptors callers of the API may have %d, want %d", descriptors, got, want)
		}
	}
	if text := tooFew(18_976, 20_000); text != "" {
		t.Errorf("what fits is complained of: %s", text)
	}
	text := tooFew(100_000, 20_000)
	for _, words := range []string{"100000 connections", "20000 file descriptors", "18976", "101024", "LimitNOFILE="} {
		if !strings.Contains(text, words) {
			t.Errorf("%q does not say %q", text, words)
		}
	}
}
