package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// findings are what is wrong with a configuration whose keys and values are
// good: problems keep a server from starting, warnings do not.
type findings struct {
	settings config.Settings
	problems []error
	warnings []string
}

// checkConfig looks at what a configuration names. It changes nothing and asks
// nobody.
func checkConfig(c *config.Config, settings config.Settings) findings {
	f := findings{settings: settings}
	f.listeners(c)
	f.pair("mqtt", c.MQTT.Certificate, c.MQTT.Key)
	if c.API.Certificate != c.MQTT.Certificate || c.API.Key != c.MQTT.Key {
		f.pair("api", c.API.Certificate, c.API.Key)
	}
	if _, _, err := readMasterKey(c.Registry.MasterKey); err != nil {
		f.problem("registry.master_key", err)
	}
	if text := exposed(c.Registry.MasterKey); text != "" {
		f.warn("registry.master_key", text)
	}
	if text := tooFew(c.Limits.Connections, descriptors()); text != "" && c.Limits.Connections != config.Default().Limits.Connections {
		f.warn("limits.connections", text) // nobody asked for as many as the default
	}
	f.webhooks(c)
	f.fleetHooks(c)
	f.registry(c.Registry.Path)
	f.sessions(c)
	f.dir(c.Admin.Path)
	return f
}

func (f *findings) problem(key string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; the user that runs the server must be let in", err)
	}
	f.problems = append(f.problems, fmt.Errorf("%s: %s: %w", f.settings.Of(key), key, err))
}

func (f *findings) warn(key, text string) {
	f.warnings = append(f.warnings, fmt.Sprintf("%s: %s: %s", f.settings.Of(key), key, text))
}

// listeners looks for two on one port.
func (f *findings) listeners(c *config.Config) {
	type listener struct{ key, address string }
	var all []listener
	for _, a := range c.MQTT.Address {
		all = append(all, listener{"mqtt.address", a})
	}
	for _, a := range c.MQTT.Websocket {
		all = append(all, listener{"mqtt.websocket", a})
	}
	all = append(all, listener{"api.address", c.API.Address}, listener{"http.address", c.HTTP.Address})
	for i, a := range all {
		for _, b := range all[:i] {
			if clash(a.address, b.address) {
				f.problem(a.key, fmt.Errorf("%s is taken by %s, %s; choose another port", a.address, b.key, b.address))
			}
		}
	}
}

// clash reports whether two addresses cannot both be listened on. A name other
// than localhost could be any address, and is only compared with itself.
func clash(a, b string) bool {
	hostA, portA := split(a)
	hostB, portB := split(b)
	if portA != portB || portA == 0 {
		return false
	}
	covers := func(wide, narrow string) bool { // a listener on :: takes IPv4 as well
		ip, err := netip.ParseAddr(narrow)
		return wide == "" || wide == "::" || wide == "0.0.0.0" && (err != nil || ip.Is4())
	}
	return hostA == hostB || covers(hostA, hostB) || covers(hostB, hostA)
}

func split(address string) (host string, port int) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	port, _ = strconv.Atoi(text) // a configuration that was read has a number
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String() // an IPv6 address has many spellings
	}
	return host, port
}

// pair looks at a certificate and its key.
func (f *findings) pair(section, certificate, key string) {
	pair, err := loadPair(section, certificate, key)
	var about *keyError
	if errors.As(err, &about) {
		f.problem(about.key, about.err)
		return
	}
	if text := exposed(key); text != "" {
		f.warn(section+".key", text)
	}
	from, to := pair.Leaf.NotBefore, pair.Leaf.NotAfter
	switch now := time.Now(); {
	case now.After(to):
		f.warn(section+".certificate", fmt.Sprintf("%s expired on %s; devices that check will not connect: renew it", certificate, to.Format(time.DateOnly)))
	case now.Before(from):
		f.warn(section+".certificate", fmt.Sprintf("%s is not valid before %s; is the clock right?", certificate, from.Format(time.RFC3339)))
	}
}

func (f *findings) registry(path string) {
	err := badgerdb.Check(path)
	if err == nil {
		err = writable(path)
	}
	if err != nil {
		f.problem("registry.path", err)
	}
}

// dir looks at the folder of the admin socket and of addresses.json.
func (f *findings) dir(path string) {
	if err := checkSocketPath(filepath.Join(path, socketFile)); err != nil {
		f.problems = append(f.problems, err)
	}
	if err := writable(path); err != nil {
		f.problems = append(f.problems, fmt.Errorf("%w; the admin socket and %s lie there while a server runs", err, addressesFile))
	}
}

// The rights that access(2) asks for.
const (
	mayWrite = 2
	mayEnter = 1
)

func writable(dir string) error {
	if err := syscall.Access(dir, mayWrite|mayEnter); err != nil {
		return fmt.Errorf("the folder %s cannot be written to: %w", dir, err)
	}
	return nil
}
