package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/config"
)

// listeners are the open sockets of a server.
type listeners struct {
	mqtt, websocket  []net.Listener
	api, http, admin net.Listener
	addresses        addresses
}

// listen opens all of them, or none. TLS of the MQTT listener is the broker's.
func listen(c *config.Config, apiTLS *tls.Config) (l *listeners, err error) {
	l = &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	l.mqtt, l.addresses.MQTT, err = listenAll("mqtt.address", "mqtt", c.MQTT.Address)
	if err != nil {
		return l, err
	}
	l.websocket, l.addresses.WebSocket, err = listenAll("mqtt.websocket", "websocket", c.MQTT.Websocket)
	if err != nil {
		return l, err
	}
	for _, s := range []struct {
		name    string
		address string
		socket  *net.Listener
		bound   *string
	}{
		{"api", c.API.Address, &l.api, &l.addresses.API},
		{"http", c.HTTP.Address, &l.http, &l.addresses.HTTP},
	} {
		socket, err := net.Listen("tcp", s.address)
		if err != nil {
			return l, fmt.Errorf("%s.address: %w; choose another with --%s", s.name, err, s.name)
		}
		*s.socket, *s.bound = socket, socket.Addr().String()
	}
	l.api = tls.NewListener(l.api, apiTLS)
	l.addresses.Socket = filepath.Join(c.Admin.Path, socketFile)
	l.admin, err = listenSocket(l.addresses.Socket)
	return l, err
}

// listenAll opens the listeners of a key, which a flag may stand for, and returns
// those that it could open, with an error where that is not all.
func listenAll(key, flag string, addresses []string) (sockets []net.Listener, bound []string, err error) {
	for _, address := range addresses {
		socket, err := net.Listen("tcp", address)
		if err != nil {
			return sockets, nil, fmt.Errorf("%s: %w; choose another with --%s", key, err, flag)
		}
		sockets, bound = append(sockets, socket), append(bound, socket.Addr().String())
	}
	return sockets, bound, nil
}

// overWebSocket tells the broker what clients of these listeners speak.
func overWebSocket(listeners []net.Listener) []net.Listener {
	marked := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		marked[i] = broker.WebSocket{Listener: l}
	}
	return marked
}

// maxSocketPath is what fits into the kernel's sockaddr_un with its final zero.
const maxSocketPath = 107

// listenSocket opens the admin socket for the user of this process alone. A
// socket that a killed server left behind is replaced. The registry's lock has
// made sure that no other server has this registry; one that has another, by its
// environment, may run beside the same file, and keeps its socket.
func listenSocket(path string) (net.Listener, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err
	}
	if other, err := net.Dial("unix", path); err == nil {
		_ = other.Close() // only to see whether somebody answers
		return nil, fmt.Errorf("admin socket %s: another server runs here, with another registry; "+
			"give each a configuration in a folder of its own", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Bound under a name in a directory that only this user may enter, and then
	// moved: between bind and chmod nobody else can connect.
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	defer os.RemoveAll(private)
	tmp := filepath.Join(private, "s")
	if len(tmp) > maxSocketPath {
		tmp = path
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(tmp, 0o600), rename(tmp, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return &socket{l, path}, nil
}

func checkSocketPath(path string) error {
	if len(path) <= maxSocketPath {
		return nil
	}
	return fmt.Errorf("admin socket %s: the path has %d bytes, and the system binds no more than %d; "+
		"put the configuration into a directory with a shorter path", path, len(path), maxSocketPath)
}

func rename(from, to string) error {
	if from == to {
		return nil
	}
	return os.Rename(from, to)
}

// socket removes its file when it closes.
type socket struct {
	*net.UnixListener
	path string
}

func (s *socket) Close() error {
	if err := s.UnixListener.Close(); err != nil {
		return err // closed before; by now the file may be that of another server
	}
	return os.Remove(s.path)
}

func (l *listeners) close() {
	for _, s := range slices.Concat(l.mqtt, l.websocket, []net.Listener{l.api, l.http, l.admin}) {
		if s != nil {
			_ = s.Close() // most are closed by whoever served them
		}
	}
}
